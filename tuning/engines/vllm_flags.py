"""vLLM's serving flags.

Names, types and choices as the parser of vLLM 0.32.0 has them (a build without CUDA), with a few flags of older
releases that are still in use. Flags of the deployer are left out: `tuning.engines.rules` refuses them by name.
"""

from collections.abc import Iterator

from tuning.engines.flags import Flag, Kind, Several
from tuning.engines.rules import DATA, DECODE_CONTEXT, PARALLEL_ALIASES, PIPELINE, PREFILL_CONTEXT, TENSOR

_DTYPES = ("auto", "half", "float16", "bfloat16", "float", "float32")
_KV_DTYPES = (
    "auto bfloat16 float16 fp8 fp8_e4m3 fp8_e5m2 fp8_inc fp8_ds_mla fp8_per_token_head int8_per_token_head "
    "int4_per_token_head nvfp4 nvfp4_4over6 nvfp4_ds_mla turboquant_3bit_nc turboquant_4bit_nc turboquant_k3v4_nc "
    "turboquant_k8v4 ultraquant_4bit"
)
_QUANTIZATIONS = (
    "auto_awq auto_gptq awq awq_marlin bitsandbytes compressed-tensors deepseek_v4_fp8 experts_int8 fbgemm_fp8 fp8 "
    "fp8_per_block fp8_per_channel fp8_per_tensor fp_quant gguf gpt_oss_mxfp4 gptq gptq_marlin humming inc "
    "int8_per_channel_weight_only modelopt modelopt_fp4 modelopt_mixed modelopt_mxfp8 moe_wna16 mxfp4 mxfp8 "
    "nvfp4_per_token online quark torchao tpu_int8"
)
_MOE_BACKENDS = (
    "auto aiter aiter_mega_moe aiter_triton_mxfp4_bf16 b12x batched_triton cutlass deep_gemm deep_gemm_mega_moe "
    "emulation flashinfer_b12x flashinfer_cutedsl flashinfer_cutlass flashinfer_moe_ep_cutedsl "
    "flashinfer_moe_ep_mega_deep_gemm flashinfer_trtllm flydsl hpc humming marlin rdna3 triton triton_unfused"
)
_ALL2ALL = (
    "allgather_reducescatter deepep_high_throughput deepep_low_latency deepep_v2 flashinfer_all2allv "
    "flashinfer_nvlink_one_sided flashinfer_nvlink_two_sided moonep mori_high_throughput mori_low_latency naive "
    "nixl_ep pplx"
)


def _size(name: str, help_: str) -> Flag:
    """A parallel size; 1 is no parallelism, which needs no flag."""
    return Flag(name, Kind.INTEGER, aliases=PARALLEL_ALIASES[name], minimum=1, neutral=1, tuned=True, help=help_)


def _switch(name: str, help_: str, *aliases: str) -> Flag:
    return Flag(name, Kind.BOOLEAN, negative=f"no-{name}", aliases=aliases, tuned=True, help=help_)


def _whole(name: str, minimum: int, help_: str, *, scaled: bool = False, words: tuple[str, ...] = ()) -> Flag:
    return Flag(name, Kind.INTEGER, minimum=minimum, scaled=scaled, words=words, tuned=True, help=help_)


def _choice(name: str, choices: str, help_: str, *aliases: str) -> Flag:
    return Flag(name, Kind.TEXT, tuple(choices.split()), aliases=aliases, tuned=True, help=help_)


_TUNED = (
    _size(TENSOR, "GPUs that share every layer"),
    _size(PIPELINE, "stages that the layers are divided into"),
    _size(DATA, "copies of the model; each takes GPUs of its own"),
    _size(DECODE_CONTEXT, "parts of the KV cache of one sequence while decoding; re-uses the tensor parallel GPUs"),
    _size(PREFILL_CONTEXT, "parts of a prompt that are computed side by side; each takes GPUs of its own"),
    _switch("enable-expert-parallel", "mixture of experts: whole experts per GPU instead of slices of all", "ep"),
    _choice("all2all-backend", _ALL2ALL, "how tokens travel between expert parallel GPUs"),
    _switch("enable-eplb", "move busy experts between GPUs while serving"),
    _switch("enable-dbo", "overlap communication of one half batch with computation of the other"),
    _switch("disable-custom-all-reduce", "use NCCL instead of vLLM's own all-reduce"),
    Flag("distributed-executor-backend", Kind.TEXT, tuned=True, help="what runs the workers: mp, ray, uni"),
    _choice("data-parallel-backend", "mp ray", "what runs the copies of the model", "dpb"),
    _whole("api-server-count", 1, "HTTP processes in front of the engine"),
    _whole("max-num-seqs", 1, "sequences that are worked on in one step"),
    _whole("max-num-batched-tokens", 1, "tokens computed in one step, prompts and answers together", scaled=True),
    _whole("max-model-len", -1, "longest prompt with its answer, in tokens", scaled=True, words=("auto",)),
    _whole("max-num-partial-prefills", 1, "long prompts that are computed piecewise at a time (older releases)"),
    _whole("max-long-partial-prefills", 1, "of these, how many may be very long (older releases)"),
    _whole("long-prefill-token-threshold", 0, "from how many tokens on a prompt counts as long"),
    _switch("enable-chunked-prefill", "compute long prompts piecewise, together with running answers"),
    _switch("enable-prefix-caching", "re-use the KV cache of prompts that begin alike"),
    _switch("async-scheduling", "plan the next step while the GPU computes this one"),
    _choice("scheduling-policy", "fcfs priority", "who is served first"),
    _whole("stream-interval", 1, "tokens per streamed message: more of them cost less CPU and look jerkier"),
    Flag(
        "gpu-memory-utilization",
        Kind.NUMBER,
        aliases=("device-memory-utilization",),
        minimum=0,
        above=True,
        maximum=1,
        tuned=True,
        help="share of a GPU's memory for weights, activations and KV cache",
    ),
    _whole("kv-cache-memory-bytes", 1, "size of the KV cache per GPU, instead of a share of memory", scaled=True),
    _whole("num-gpu-blocks-override", 1, "number of KV cache blocks, whatever the memory would allow"),
    _choice("kv-cache-dtype", _KV_DTYPES, "type of KV cache entries; 8 bits halve it and change answers slightly"),
    _switch("calculate-kv-scales", "compute the scales of an fp8 KV cache at start (older releases)"),
    _whole("block-size", 1, "tokens in one block of the KV cache"),
    Flag("swap-space", Kind.NUMBER, minimum=0, tuned=True, help="GiB of CPU memory to swap to (older releases)"),
    Flag("cpu-offload-gb", Kind.NUMBER, minimum=0, tuned=True, help="GiB of weights per GPU kept in CPU memory"),
    Flag("kv-offloading-size", Kind.NUMBER, minimum=0, tuned=True, help="GiB of CPU memory for KV cache"),
    Flag("dtype", Kind.TEXT, _DTYPES, tuned=True, help="type of weights and activations"),
    _choice("quantization", _QUANTIZATIONS, "how weights are quantised; changes answers", "q"),
    _switch("enforce-eager", "no CUDA graphs: starts faster, decodes slower"),
    _whole("max-cudagraph-capture-size", 0, "largest batch for which a CUDA graph is made"),
    Flag(
        "cudagraph-capture-sizes",
        Kind.INTEGER,
        several=Several.VALUES,
        aliases=("cuda-graph-sizes",),
        minimum=1,
        tuned=True,
        help="batch sizes for which CUDA graphs are made",
    ),
    Flag("compilation-config", Kind.JSON, aliases=("cc",), tuned=True, help="how the model is compiled"),
    _choice("optimization-level", "0 1 2 3", "how much time the start may take for faster steps", "O"),
    _choice("performance-mode", "balanced interactivity throughput", "which side of the trade-off the defaults take"),
    Flag("attention-backend", Kind.TEXT, tuned=True, help="kernels of the attention layers"),
    _choice("moe-backend", _MOE_BACKENDS, "kernels of the mixture of experts"),
    _switch("disable-cascade-attn", "do not share attention over a common beginning"),
    _switch("disable-hybrid-kv-cache-manager", "one KV cache layout for all kinds of layers"),
    Flag("speculative-config", Kind.JSON, aliases=("sc",), tuned=True, help="draft model or method and its tokens"),
    Flag("load-format", Kind.TEXT, tuned=True, help="how weights are read; dummy: not at all"),
    Flag("seed", Kind.INTEGER, tuned=True, help="seed of the engine's random numbers"),
    Flag("disable-log-stats", Kind.BOOLEAN, tuned=True, help="no periodic line with throughput"),
    Flag("disable-log-requests", Kind.BOOLEAN, tuned=True, help="no line per request (older releases)"),
    _switch("enable-log-requests", "a line per request"),
)

_BOOLEANS = """
allow-credentials allow-deprecated-quantization cohere-is-reasoning-model cudagraph-metrics dcp-q-replicate
disable-chunked-mm-input disable-fastapi-docs disable-nccl-for-dp-synchronization disable-sliding-window
disable-uvicorn-access-log enable-auto-tool-choice enable-batch-sharded-sampling enable-cumem-allocator
enable-elastic-ep enable-ep-weight-filter enable-fault-tolerance enable-flash-late-interaction
enable-flashinfer-autotune enable-force-include-usage enable-hc-sp enable-layerwise-nvtx-tracing enable-log-deltas
enable-log-outputs enable-logging-iteration-details enable-lora enable-mamba-cache-stochastic-rounding
enable-mamba-shared-prefix-checkpoint enable-mfu-metrics enable-mixed-moe-lora-format enable-mm-embeds
enable-moe-shared-loras enable-nccl-comm-suspend enable-offline-docs enable-per-request-metrics enable-prompt-embeds
enable-prompt-tokens-details enable-request-id-headers enable-return-routed-experts enable-scale-out
enable-server-load-tracking enable-shm-tensor-arena enable-sleep-mode enable-tokenizer-info-endpoint
enable-tower-connector-lora enable-trace-replay exclude-tools-when-tool-choice-none fail-on-environ-validation
fully-sharded-loras interleave-mm-strings jit-monitor-verbose kv-cache-metrics kv-sharing-fast-prefill
language-model-only log-error-stack long-prefill-token-threshold-adaptive mm-device-do-normalize mm-encoder-only
numa-bind ray-workers-use-nsight return-sampling-mask return-tokens-as-token-ids scheduler-reserve-full-isl
skip-mm-profiling skip-tokenizer-init sleep-mode-offload-cudagraph specialize-active-lora swa-bounded-replay
tokens-only trust-remote-code trust-request-chat-template trust-request-mm-kwargs use-fp64-gumbel use-replayssm
use-tqdm-on-load
"""
_SWITCHES = """
aggregate-engine-logging
"""
_INTEGERS = """
cp-kv-cache-interleave-size cpu-distributed-timeout-seconds data-parallel-rpc-port data-parallel-supervisor-port
dbo-decode-token-threshold dbo-prefill-token-threshold dcp-kv-cache-interleave-size distributed-timeout-seconds
dp-supervisor-probe-failure-threshold dp-sync-interval elastic-ep-max-dp-size grpc-port h11-max-header-count
h11-max-incomplete-event-size mamba-block-size mamba-cache-philox-rounds master-port max-cpu-loras max-log-len
max-logprobs max-lora-cls-labels max-loras max-num-active-seqs max-num-queued-reqs max-parallel-loading-workers
mm-shm-cache-max-object-size-mb offload-group-size offload-num-in-group offload-prefetch-step
prefill-schedule-interval prefix-cache-retention-interval prefix-match-unit renderer-num-workers replayssm-buffer-len
safetensors-prefetch-num-threads shutdown-timeout spec-tokens sse-keep-alive-interval ubatch-size
"""
_SCALED = """
max-num-queued-tokens max-num-scheduled-tokens safetensors-prefetch-block-size
"""
_NUMBERS = """
dp-supervisor-probe-interval-s dp-supervisor-probe-timeout-s kv-cache-metrics-sample mm-encoder-fp8-scale-save-margin
mm-ipc-gpu-memory-gb mm-processor-cache-gb video-pruning-rate watermark
"""
_TEXTS = """
allowed-local-media-path chat-template code-revision cohere-format config-format disable-access-log-for-endpoints
download-dir fingerprint-value generation-config hf-config-path io-processor-plugin mamba-backend
mm-encoder-attn-backend mm-encoder-fp8-scale-path mm-encoder-fp8-scale-save-path model-impl otlp-traces-endpoint
reasoning-parser reasoning-parser-plugin response-role revision scheduler-cls show-hidden-metrics-for-version
spec-method spec-model ssl-ciphers tokenizer-mode tokenizer-revision tool-call-parser tool-parser-plugin tool-server
worker-cls worker-extension-cls
"""
_JSON = """
additional-config allowed-headers allowed-methods allowed-origins attention-config aux-output-config
custom-histogram-buckets default-chat-template-kwargs default-mm-loras diffusion-config ec-manager-config
ec-transfer-config engram-config eplb-config fault-tolerance-config hf-overrides ir-op-priority kernel-config
kv-events-config kv-transfer-config limit-mm-per-prompt media-io-kwargs mm-processor-kwargs model-class-overrides
model-loader-extra-config override-generation-config pooler-config profiler-config pt-load-map-location
quantization-config reasoning-config structured-outputs-config watermark-config weight-transfer-config
"""
_TEXT_LISTS = """
allowed-media-domains cpu-offload-params ignore-patterns kv-cache-dtype-skip-layers logits-processors lora-modules
lora-target-modules numa-bind-cpus offload-params sleep-preserve-parameter-names
"""
_CHOICES = {
    "anthropic-disabled-thinking-effort": "auto high low max medium none xhigh",
    "chat-template-content-format": "auto openai string",
    "convert": "auto classify embed none",
    "dcp-comm-backend": "a2a ag_rs",
    "expert-placement-strategy": "linear round_robin",
    "fingerprint-mode": "custom full hash none",
    "gdn-prefill-backend": "flashinfer triton cutedsl aiter_flydsl",
    "jit-monitor-mode": "error warn",
    "kda-decode-backend": "auto native flashinfer triton",
    "kda-prefill-backend": "auto triton flashkda flashinfer fused",
    "kv-offloading-backend": "lmcache native",
    "linear-backend": "aiter auto b12x conch cutlass deep_gemm emulation exllama fbgemm flashinfer_b12x "
    "flashinfer_cudnn flashinfer_cutedsl flashinfer_cutlass flashinfer_trtllm humming machete marlin torch triton xpu "
    "xpu_woq",
    "logprobs-mode": "processed_logits processed_logprobs raw_logits raw_logprobs",
    "lora-dtype": "auto bfloat16 float16",
    "mamba-cache-dtype": "auto bfloat16 float16 float32",
    "mamba-cache-mode": "align none",
    "mamba-ssm-cache-dtype": "auto bfloat16 float16 float32",
    "mamba-ssu-algorithm": "auto horizontal simple vertical",
    "max-lora-rank": "1 8 16 32 64 128 256 320 512",
    "mm-encoder-attn-dtype": "fp8",
    "mm-encoder-tp-mode": "data weights",
    "mm-hasher-algorithm": "blake3 sha256 sha512",
    "mm-processor-cache-type": "lru shm",
    "mm-processor-device": "auto cpu",
    "mm-tensor-ipc": "direct_rpc torch_shm",
    "offload-backend": "auto prefetch uva",
    "per-request-spec-decode-metrics": "detailed none summary",
    "prefix-caching-hash-algo": "sha256 sha256_cbor xxhash xxhash_cbor",
    "runner": "auto draft generate pooling",
    "safetensors-load-strategy": "eager lazy prefetch torchao",
    "sparse-indexer-topk-backend": "aiter auto cooperative deep_select flashinfer per_row persistent torch",
    "tool-strict-level": "auto function parameter",
    "uvicorn-log-level": "critical debug error info trace warning",
    "video-pruning-method": "evs vidcom2",
}


def _rest() -> Iterator[Flag]:
    """The flags that are rarely tuned."""
    for name in _BOOLEANS.split():
        yield Flag(name, Kind.BOOLEAN, negative=f"no-{name}")
    yield from (Flag(name, Kind.BOOLEAN) for name in _SWITCHES.split())
    yield from (Flag(name, Kind.INTEGER) for name in _INTEGERS.split())
    yield from (Flag(name, Kind.INTEGER, scaled=True) for name in _SCALED.split())
    yield from (Flag(name, Kind.NUMBER) for name in _NUMBERS.split())
    yield from (Flag(name, Kind.TEXT) for name in _TEXTS.split())
    yield from (Flag(name, Kind.JSON) for name in _JSON.split())
    yield from (Flag(name, Kind.TEXT, several=Several.VALUES) for name in _TEXT_LISTS.split())
    yield Flag("numa-bind-nodes", Kind.INTEGER, several=Several.VALUES)
    yield Flag("collect-detailed-traces", Kind.TEXT, ("all", "model", "worker"), several=Several.VALUES)
    yield Flag("middleware", Kind.TEXT, several=Several.FLAGS)
    yield from (Flag(name, Kind.TEXT, tuple(choices.split())) for name, choices in _CHOICES.items())


VLLM_FLAGS = (*_TUNED, *_rest())
