"""vLLM."""

from collections.abc import Sequence

from tuning.document.base import Parameters
from tuning.document.task import EngineName
from tuning.engines import failures
from tuning.engines.base import Command, Explanation, Launch, launch_environment
from tuning.engines.checks import Finding, check
from tuning.engines.flags import FlagTable, render
from tuning.engines.rules import DECODE_CONTEXT, DEPLOYER_OWNED, TENSOR, divides, vllm_gpus, vllm_scheduler
from tuning.engines.vllm_flags import VLLM_FLAGS

TABLE = FlagTable("vllm", VLLM_FLAGS, DEPLOYER_OWNED)


class VllmEngine:
    """`vllm serve`, or with an interpreter the module behind it."""

    name = EngineName.VLLM
    simulated = False
    health_path = "/health"
    version_path = "/version"
    table = TABLE

    def problems(self, parameters: Parameters, *, allow_unknown_flags: bool = False) -> list[Finding]:
        """See `Engine.problems`."""
        return [
            *check(TABLE, parameters, allow_unknown_flags=allow_unknown_flags),
            *vllm_scheduler(TABLE, parameters),
            *divides(TABLE, parameters, DECODE_CONTEXT, TENSOR, ", whose GPUs it re-uses"),
        ]

    def flags(self, parameters: Parameters) -> list[str]:
        """See `Engine.flags`."""
        return render(TABLE, parameters)

    def command(self, launch: Launch) -> Command:
        """See `Engine.command`. With `engine.python` the module is started, where the model is `--model`.

        `vllm serve` takes the model as a positional argument; the module ignores one silently.
        """
        tokenizer = ["--tokenizer", launch.tokenizer] if launch.tokenizer else []
        server = ["--served-model-name", launch.served_name, "--host", launch.host, "--port", str(launch.port)]
        arguments = [*self._start(launch), *server, *tokenizer, *self.flags(launch.parameters)]
        return Command(tuple(arguments), launch_environment(launch))

    def _start(self, launch: Launch) -> list[str]:
        if launch.engine.python:
            return [str(launch.engine.python), "-m", "vllm.entrypoints.openai.api_server", "--model", launch.model]
        return [str(launch.engine.executable or "vllm"), "serve", launch.model]

    def roots(self, launch: Launch) -> frozenset[str]:
        """See `Engine.roots`: vLLM names the path that it loaded."""
        return frozenset({launch.model})

    def gpus(self, parameters: Parameters) -> int:
        """See `Engine.gpus`."""
        return vllm_gpus(TABLE, parameters)

    def explain(self, log: Sequence[str], exit_code: int | None) -> Explanation:
        """See `Engine.explain`."""
        return failures.explain(log, exit_code, engine=self.name)
