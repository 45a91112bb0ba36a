"""SGLang."""

from collections.abc import Iterator, Sequence

from tuning.document.base import Parameters
from tuning.document.task import EngineName
from tuning.engines import failures
from tuning.engines.base import Command, Explanation, Launch, launch_environment
from tuning.engines.checks import Finding, check, product, whole
from tuning.engines.flags import FlagTable, render
from tuning.engines.rules import DEPLOYER_OWNED, divides
from tuning.engines.sglang_flags import SGLANG_FLAGS

_NOT_TUNABLE = {
    "fastapi-root-path": DEPLOYER_OWNED["root-path"],
    "grpc-mode": DEPLOYER_OWNED["grpc"],
    "nccl-init-addr": DEPLOYER_OWNED["dist-init-addr"],
    **dict.fromkeys(
        ("encoder-only", "disaggregation-mode"), "starts a part of a server only, which cannot be measured"
    ),
}
TABLE = FlagTable("sglang", SGLANG_FLAGS, {**DEPLOYER_OWNED, **_NOT_TUNABLE})


class SglangEngine:
    """`python -m sglang.launch_server`, or `sglang serve` with an executable."""

    name = EngineName.SGLANG
    simulated = False
    health_path = "/health_generate"
    version_path = "/server_info"
    table = TABLE

    def problems(self, parameters: Parameters, *, allow_unknown_flags: bool = False) -> list[Finding]:
        """See `Engine.problems`."""
        return [
            *check(TABLE, parameters, allow_unknown_flags=allow_unknown_flags),
            *_dp_attention(parameters),
            *_chunks(parameters),
        ]

    def flags(self, parameters: Parameters) -> list[str]:
        """See `Engine.flags`."""
        return render(TABLE, parameters)

    def command(self, launch: Launch) -> Command:
        """See `Engine.command`."""
        tokenizer = ["--tokenizer-path", launch.tokenizer] if launch.tokenizer else []
        model = ["--model-path", launch.model, "--served-model-name", launch.served_name]
        server = ["--host", launch.host, "--port", str(launch.port)]
        arguments = [*_start(launch), *model, *server, *tokenizer, *self.flags(launch.parameters)]
        return Command(tuple(arguments), launch_environment(launch))

    def roots(self, launch: Launch) -> frozenset[str]:
        """See `Engine.roots`: SGLang repeats the served name there, some versions name the path."""
        return frozenset({launch.model, launch.served_name})

    def gpus(self, parameters: Parameters) -> int:
        """See `Engine.gpus`: tp * pp * dp; with DP attention tp * pp, because dp divides the GPUs of tp."""
        sizes = ("tp-size", "pp-size") if _has_dp_attention(parameters) else ("tp-size", "pp-size", "dp-size")
        return product(TABLE, parameters, sizes)

    def explain(self, log: Sequence[str], exit_code: int | None) -> Explanation:
        """See `Engine.explain`."""
        return failures.explain(log, exit_code, engine=self.name)


def _start(launch: Launch) -> list[str]:
    if launch.engine.executable:
        return [str(launch.engine.executable), "serve"]
    return [str(launch.engine.python or "python3"), "-m", "sglang.launch_server"]


def _has_dp_attention(parameters: Parameters) -> bool:
    return TABLE.value(parameters, "enable-dp-attention") is True


def _dp_attention(parameters: Parameters) -> Iterator[Finding]:
    """DP attention divides the tensor parallel GPUs; SGLang switches it off without a word when there is one part."""
    if not _has_dp_attention(parameters):
        return
    if whole(TABLE, parameters, "dp-size", 1) == 1:
        name = TABLE.spelling(parameters, "enable-dp-attention")
        yield name, "has no effect without dp-size above 1: the same server would be measured twice"
    yield from divides(TABLE, parameters, "dp-size", "tp-size", " with enable-dp-attention")


def _chunks(parameters: Parameters) -> Iterator[Finding]:
    chunk, page = (whole(TABLE, parameters, name, 0) for name in ("chunked-prefill-size", "page-size"))
    if chunk > 0 and page > 0 and chunk % page:
        name = TABLE.spelling(parameters, "chunked-prefill-size")
        yield name, f"must be a multiple of page-size; {chunk} is not one of {page}"
