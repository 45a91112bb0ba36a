"""The bundled simulated engine: vLLM's flag names and a few of its own, nothing measured on it is real."""

from collections.abc import Sequence

from simulated_engine.flags import FLAGS
from simulated_engine.flags import Flag as SimulatedFlag
from tuning.document.base import Parameters
from tuning.document.task import EngineName
from tuning.engines import failures
from tuning.engines.base import Command, Explanation, Launch, launch_environment
from tuning.engines.checks import Finding, check
from tuning.engines.flags import Flag, FlagTable, Kind, render
from tuning.engines.rules import DEPLOYER_OWNED, PARALLEL_ALIASES, vllm_gpus, vllm_scheduler

_KINDS = {"bool": Kind.BOOLEAN, "int": Kind.INTEGER, "float": Kind.NUMBER, "str": Kind.TEXT, "choice": Kind.TEXT}


def _flag(flag: SimulatedFlag) -> Flag:
    aliases = PARALLEL_ALIASES.get(flag.name, ())
    return Flag(
        flag.name,
        _KINDS[flag.kind],
        choices=flag.choices,
        negative=f"no-{flag.name}" if flag.kind == "bool" else None,
        aliases=aliases,
        minimum=flag.minimum,
        maximum=flag.maximum,
        neutral=1 if aliases else None,
        tuned=not flag.is_simulation,
        help=flag.help,
    )


TABLE = FlagTable("simulated", tuple(_flag(flag) for flag in FLAGS), DEPLOYER_OWNED)


class SimulatedEngine:
    """`python -m simulated_engine serve`."""

    name = EngineName.SIMULATED
    simulated = True
    health_path = "/health"
    version_path = "/version"
    table = TABLE

    def problems(self, parameters: Parameters, *, allow_unknown_flags: bool = False) -> list[Finding]:
        """See `Engine.problems`."""
        found = check(TABLE, parameters, allow_unknown_flags=allow_unknown_flags)
        return [*found, *vllm_scheduler(TABLE, parameters)]

    def flags(self, parameters: Parameters) -> list[str]:
        """See `Engine.flags`."""
        return render(TABLE, parameters)

    def command(self, launch: Launch) -> Command:
        """See `Engine.command`."""
        start = [str(launch.engine.executable)] if launch.engine.executable else self._module(launch)
        server = ["--served-model-name", launch.served_name, "--host", launch.host, "--port", str(launch.port)]
        tokenizer = ["--tokenizer", launch.tokenizer] if launch.tokenizer else []
        arguments = [*start, "serve", launch.model, *server, *tokenizer, *self.flags(launch.parameters)]
        return Command(tuple(arguments), launch_environment(launch))

    def _module(self, launch: Launch) -> list[str]:
        return [str(launch.engine.python or launch.python), "-m", "simulated_engine"]

    def roots(self, launch: Launch) -> frozenset[str]:
        """See `Engine.roots`."""
        return frozenset({launch.model})

    def gpus(self, parameters: Parameters) -> int:
        """Simulated devices that the configuration takes, by vLLM's rule."""
        return vllm_gpus(TABLE, parameters)

    def explain(self, log: Sequence[str], exit_code: int | None) -> Explanation:
        """See `Engine.explain`."""
        return failures.explain(log, exit_code, engine=self.name)
