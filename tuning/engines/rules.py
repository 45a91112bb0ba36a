"""What several engines have in common: flags that belong to the deployer, parallel sizes, and vLLM's scheduler."""

from collections.abc import Iterator

from tuning.document.base import Parameters
from tuning.engines.checks import Finding, product, whole
from tuning.engines.flags import FlagTable

_DEPLOYER = "is set by the deployer"
_MODEL = "is set from the document's section `model`"
_PLAIN_HTTP = "would hide the server behind TLS or a socket, where it cannot be measured"
_ONE_MACHINE = "spreads one engine over several machines, which no deployer can start yet"

DEPLOYER_OWNED = {
    **dict.fromkeys(("host", "port", "config", "root-path", "headless", "grpc", "version", "help"), _DEPLOYER),
    **dict.fromkeys(("model", "model-path", "model-tag", "served-model-name"), _MODEL),
    **dict.fromkeys(("tokenizer", "tokenizer-path"), _MODEL),
    **dict.fromkeys(("uds", "ssl-keyfile", "ssl-certfile", "ssl-ca-certs", "ssl-cert-reqs"), _PLAIN_HTTP),
    **dict.fromkeys(("ssl-keyfile-password", "enable-ssl-refresh", "enable-http2"), _PLAIN_HTTP),
    **dict.fromkeys(("api-key", "admin-api-key"), "would lock out the load generator"),
    "hf-token": "would show the token in the process list; give HF_TOKEN in engine.environment instead",
    **dict.fromkeys(("nnodes", "node-rank", "dist-init-addr", "master-addr"), _ONE_MACHINE),
    **dict.fromkeys(("data-parallel-address", "data-parallel-start-rank", "data-parallel-rank"), _ONE_MACHINE),
    **dict.fromkeys(("data-parallel-size-local", "data-parallel-external-lb"), _ONE_MACHINE),
    **dict.fromkeys(("data-parallel-hybrid-lb", "data-parallel-multi-port-external-lb"), _ONE_MACHINE),
    **dict.fromkeys(
        ("device-ids", "base-gpu-id", "gpu-id-step"), "is decided by the GPUs that an experiment was given"
    ),
}
"""Flags that no configuration may set, with the reason."""

TENSOR, PIPELINE, DATA = "tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size"
DECODE_CONTEXT, PREFILL_CONTEXT = "decode-context-parallel-size", "prefill-context-parallel-size"

PARALLEL_ALIASES = {
    TENSOR: ("tp", "tp-size"),
    PIPELINE: ("pp", "pp-size"),
    DATA: ("dp", "dp-size"),
    DECODE_CONTEXT: ("dcp", "dcp-size"),
    PREFILL_CONTEXT: ("pcp", "pcp-size"),
}
"""Parallel sizes under vLLM's names, and what else they are called."""


def vllm_gpus(table: FlagTable, parameters: Parameters) -> int:
    """GPUs that vLLM needs: tp * pp * dp * pcp; decode context parallelism re-uses the GPUs of tp."""
    return product(table, parameters, (TENSOR, PIPELINE, DATA, PREFILL_CONTEXT))


def divides(table: FlagTable, parameters: Parameters, part: str, total: str, why: str = "") -> Iterator[Finding]:
    """A finding unless the flag `part` divides the flag `total`."""
    small, large = max(1, whole(table, parameters, part, 1)), max(1, whole(table, parameters, total, 1))
    if large % small:
        yield table.spelling(parameters, part), f"must divide {total}{why}; {large} is not a multiple of {small}"


def vllm_scheduler(table: FlagTable, parameters: Parameters) -> Iterator[Finding]:
    """What vLLM's scheduler refuses at start, as far as the configuration itself says it."""
    tokens = whole(table, parameters, "max-num-batched-tokens", 0)
    sequences = whole(table, parameters, "max-num-seqs", 0)
    length = whole(table, parameters, "max-model-len", 0)
    name = table.spelling(parameters, "max-num-batched-tokens")
    if tokens and sequences and tokens < sequences:
        yield name, f"{tokens} is below max-num-seqs ({sequences}): a step needs a token for each of its sequences"
    if table.value(parameters, "enable-chunked-prefill") is False and 0 < tokens < length:
        yield name, f"{tokens} is below max-model-len ({length}), which needs enable-chunked-prefill"
