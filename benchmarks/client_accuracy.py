"""How truly the load generators measure an engine whose latencies are known.

    python -m benchmarks.client_accuracy [--streams 1 32 64 128 256] [--rounds 12] [--tokenizer FOLDER]

The simulated engine answers with a TTFT of 50 ms and a TPOT of 10 ms, 100 tokens a request; server, client and this
script share the machine. Prints a table in Markdown: what each load generator says the latencies are. genai-bench is
measured too where it is installed (AUTOTUNER_GENAI_BENCH, or the folder of `manage.py install_genai_bench`) and a
tokenizer folder is given.
"""

import argparse
import contextlib
import importlib.metadata
import os
import platform
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tuning.benchmarks.base import Benchmark, LoadRequest
from tuning.benchmarks.builtin.adapter import Builtin
from tuning.benchmarks.genai_bench import GenaiBench, default_executable
from tuning.document.goals import SLO, Limits
from tuning.document.workload import Workload
from tuning.scoring.metrics import Measurement

TTFT_MS, TPOT_MS, OUTPUT_TOKENS = 50.0, 10.0, 100
ROOT = Path(__file__).parents[1]
HEADER = (
    "| load generator | streams | TTFT mean ms | TTFT p50 ms | TTFT p99 ms | TPOT mean ms | output tokens/s | of ideal "
    "| client CPU | requests | error |"
)


@dataclass(frozen=True)
class Arguments:
    """The command line."""

    streams: list[int]
    rounds: int
    tokenizer: str | None
    genai_bench: Path


def main() -> int:
    """Measure, print the table, and return 0 when the builtin client is within its targets."""
    arguments = _arguments()
    print(_heading(arguments), flush=True)
    with tempfile.TemporaryDirectory() as folder, _engine() as base_url:
        rows = list(_measure_all(arguments, Path(folder), base_url))
    misses = [
        text for name, streams, measurement in rows if name == "builtin" for text in _misses(streams, measurement)
    ]
    print("\nBuiltin client: " + ("; ".join(misses) if misses else "every target met."))
    return 1 if misses else 0


def _arguments() -> Arguments:
    parser = argparse.ArgumentParser("client_accuracy", description="Accuracy of the load generators")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 32, 64, 128, 256])
    parser.add_argument("--rounds", type=int, default=12, help="requests of each stream")
    parser.add_argument("--tokenizer", help="folder of any tokenizer; genai-bench is left out without it")
    parser.add_argument("--genai-bench", type=Path, default=Path(default_executable()))
    return Arguments(**vars(parser.parse_args()))


def _heading(arguments: Arguments) -> str:
    lines = [
        f"`{shlex.join(['python', '-m', 'benchmarks.client_accuracy', *sys.argv[1:]])}`",
        "",
        f"Truth: TTFT {TTFT_MS:g} ms, TPOT {TPOT_MS:g} ms, {OUTPUT_TOKENS} output tokens. {os.cpu_count()} CPUs shared "
        f"by engine and client, {platform.system()} {platform.machine()}, Python {platform.python_version()}, aiohttp "
        f"{importlib.metadata.version('aiohttp')}; load average before: {psutil.getloadavg()[0]:.1f}.",
        "",
    ]
    if reason := _why_not(arguments):
        lines += [f"genai-bench is not in the table: {reason}.", ""]
    return "\n".join([*lines, HEADER, "|" + "---|" * HEADER.count(" | ") + "---|"])


def _why_not(arguments: Arguments) -> str:
    if not arguments.genai_bench.exists():
        return f"{arguments.genai_bench} does not exist (`manage.py install_genai_bench` installs it)"
    return "" if arguments.tokenizer else "no --tokenizer was given"


def _measure_all(arguments: Arguments, folder: Path, base_url: str) -> Iterator[tuple[str, int, Measurement]]:
    generators: dict[str, Benchmark] = {"builtin": Builtin()}
    if not _why_not(arguments):
        generators["genai-bench"] = GenaiBench(arguments.genai_bench)
    for name, generator in generators.items():
        for streams in arguments.streams:
            request = _request(arguments, folder / f"{name}-{streams}", base_url, streams)
            measurement = generator.run(request, log=_note_warnings, stop=lambda: None)
            print(_line(name, streams, measurement), flush=True)
            yield name, streams, measurement


def _note_warnings(level: str, text: str) -> None:
    if level == "warning":
        print(text, file=sys.stderr)


def _request(arguments: Arguments, folder: Path, base_url: str, streams: int) -> LoadRequest:
    folder.mkdir()
    workload = Workload(
        scenarios=(f"D(100,{OUTPUT_TOKENS})",), concurrency=(streams,), requests=streams * arguments.rounds, seconds=600
    )
    return LoadRequest(
        base_url=base_url,
        served_name="simulated",
        tokenizer=arguments.tokenizer or "",
        workload=workload,
        load_point=workload.load_points[0],
        index=0,
        slo=SLO(),
        limits=Limits(),
        folder=folder,
    )


def _line(name: str, streams: int, measurement: Measurement) -> str:
    ttft, tpot = measurement.ttft_ms, measurement.tpot_ms
    if not measurement.ok or ttft is None or tpot is None:
        return f"| {name} | {streams} | failed: {measurement.message} |" + " |" * 8
    ideal = streams * OUTPUT_TOKENS / (TTFT_MS + (OUTPUT_TOKENS - 1) * TPOT_MS) * 1000
    cpu = measurement.extra.get("client_cpu_share")
    cells = [
        *(f"{ttft[statistic]:.1f}" for statistic in ("mean", "p50", "p99")),
        f"{tpot['mean']:.2f}",
        f"{measurement.output_tokens_per_s:.0f}",
        f"{measurement.output_tokens_per_s / ideal:.0%}",
        "-" if cpu is None else f"{cpu:.0%}",
        f"{measurement.completed}",
        f"{measurement.error_rate:.1%}",
    ]
    return f"| {name} | {streams} | " + " | ".join(cells) + " |"


def _misses(streams: int, measurement: Measurement) -> Iterator[str]:
    """Where the builtin client misses its targets: TTFT within 5 ms up to 128 streams and 15 ms beyond, TPOT 3 %."""
    if measurement.ttft_ms is None or measurement.tpot_ms is None:
        yield f"{streams} streams: failed"
        return
    allowed_ms = 5.0 if streams <= 128 else 15.0
    if (off_ms := abs(measurement.ttft_ms["mean"] - TTFT_MS)) > allowed_ms:
        yield f"{streams} streams: mean TTFT off by {off_ms:.1f} ms, allowed {allowed_ms:g}"
    if (off := abs(measurement.tpot_ms["mean"] / TPOT_MS - 1)) > 0.03:
        yield f"{streams} streams: mean TPOT off by {off:.1%}, allowed 3 %"


@contextlib.contextmanager
def _engine() -> Iterator[str]:
    """The simulated engine with fixed latencies and room for every stream."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "simulated_engine", "serve", "simulated", "--port", str(port)]
    command += ["--simulate-ttft-ms", f"{TTFT_MS:g}", "--simulate-tpot-ms", f"{TPOT_MS:g}", "--max-num-seqs", "1024"]
    command += ["--simulate-startup-s", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        base_url = f"http://127.0.0.1:{port}"
        _wait_until_ready(process, base_url)
        yield base_url
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_ready(process: "subprocess.Popen[bytes]", base_url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError), opener.open(f"{base_url}/health", timeout=1):
            return
        time.sleep(0.05)
    raise SystemExit("the simulated engine did not start")


if __name__ == "__main__":
    sys.exit(main())
