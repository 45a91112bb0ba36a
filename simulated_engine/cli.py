"""The command line: vLLM's flag names, usage errors and exit codes."""

import argparse
import logging
import os
import socket
import sys
import traceback
from collections.abc import Sequence

from simulated_engine import __version__
from simulated_engine.errors import ConfigError, StartupError
from simulated_engine.flags import ENGINE_FLAGS, FLAGS, SIMULATION_FLAGS, Flag
from simulated_engine.log import configure_logging
from simulated_engine.settings import Settings

logger = logging.getLogger(__name__)
TYPES = {"int": int, "float": float, "str": str, "choice": str}


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``python -m simulated_engine``."""
    parser = argparse.ArgumentParser("simulated_engine", description="Simulated inference engine", allow_abbrev=False)
    parser.add_argument("-v", "--version", action="version", version=f"simulated-{__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{serve}")
    serve = commands.add_parser("serve", help="start the server", allow_abbrev=False)
    serve.add_argument("model", help="a name, or a folder with config.json whose sizes are taken")
    _add_flags(serve.add_argument_group("engine", "vLLM's flags"), ENGINE_FLAGS)
    _add_flags(serve.add_argument_group("simulation", "what no real engine has"), SIMULATION_FLAGS)
    return parser


def _add_flags(group: argparse._ArgumentGroup, flags: Sequence[Flag]) -> None:
    for flag in flags:
        text = f"{flag.help} (default: {flag.default})".replace("%", "%%")
        if flag.kind == "bool":
            group.add_argument(f"--{flag.name}", action=argparse.BooleanOptionalAction, default=flag.default, help=text)
        else:
            group.add_argument(
                f"--{flag.name}",
                type=TYPES[flag.kind],
                default=flag.default,
                choices=flag.choices or None,
                help=text,
            )


def parse(arguments: Sequence[str]) -> Settings:
    """Parse ``arguments``. Raises SystemExit(2) on a usage error and ConfigError on a value out of range."""
    parser = build_parser()
    namespace = parser.parse_args([_with_dashes(argument) for argument in arguments])
    for flag in FLAGS:
        _check_range(parser, flag, getattr(namespace, flag.attribute))
    return Settings.from_namespace(namespace)


def _with_dashes(argument: str) -> str:
    """vLLM reads ``--max_num_seqs`` as ``--max-num-seqs``."""
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else argument


def _check_range(parser: argparse.ArgumentParser, flag: Flag, value: object) -> None:
    problem = flag.problem(value)
    if problem is None:
        return
    if flag.is_simulation:
        parser.error(f"argument --{flag.name}: {problem}, got {value}")
    raise ConfigError(flag.owner, f"{flag.attribute} {problem}, got {value}")


def bind(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet, as vLLM makes it before it loads the model. Raises OSError."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        text = f"error while attempting to bind on address {(host, port)!r}: {reason}"
        raise OSError(error.errno, text) from None
    return bound


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 stopped by a signal, 1 failed, 2 (SystemExit) wrong usage."""
    try:
        settings = parse(sys.argv[1:] if arguments is None else arguments)
        return _serve(settings)
    except ConfigError as error:
        _print_traceback(
            f"pydantic_core._pydantic_core.ValidationError: 1 validation error for {error.owner}\n"
            f"  Value error, {error} [type=value_error, input_type=ArgsKwargs]"
        )
    except StartupError as error:
        logger.error("EngineCore failed to start.\nTraceback (most recent call last):\n%s: %s", error.exception, error)
        _print_traceback(
            "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
        )
    except OSError:
        traceback.print_exc()
    return 1


def _serve(settings: Settings) -> int:
    from simulated_engine.server import run  # noqa: PLC0415 - a usage error need not wait for aiohttp

    configure_logging()
    with bind(settings.host, settings.port) as bound:
        return run(settings, bound)


def _print_traceback(last_lines: str) -> None:
    sys.stderr.write(f"Traceback (most recent call last):\n{last_lines}\n")
