"""SGLang's serving flags.

Names, types and choices from SGLang's page of server arguments, late 2026. Flags of the deployer are left out:
`tuning.engines.rules` refuses them by name. Booleans have no negative form: what is on by default has a
`disable-...` flag of its own, and `false` leaves a flag out.
"""

from collections.abc import Iterator

from tuning.engines.flags import Flag, Kind, Several

_ATTENTION = (
    "triton torch_native flex_attention dsa nsa dsv4 cutlass_mla fa3 fa4 flashinfer flashmla trtllm_mla cutedsl_mla "
    "tokenspeed_mla trtllm_mha dual_chunk_flash_attn hpc_ops minicpm_flashattn minicpm_flashinfer aiter wave intel_amx "
    "ascend intel_xpu"
)
_QUANTIZATIONS = (
    "awq fp8 mxfp8 gptq marlin gptq_marlin awq_marlin bitsandbytes gguf modelopt modelopt_fp8 modelopt_fp4 "
    "modelopt_mixed nvfp4_online petit_nvfp4 w8a8_int8 w8a8_fp8 moe_wna16 qoq w4afp8 mxfp4 auto-round auto-round-int8 "
    "compressed-tensors modelslim mxfp_w4a8 quark quark_int4fp8_moe quark_mxfp4 mlx_q4 mlx_q8 unquant humming"
)
_MOE_RUNNERS = (
    "auto deep_gemm triton triton_kernel flashinfer_trtllm flashinfer_trtllm_routed experimental_sgl_trtllm "
    "flashinfer_cutlass flashinfer_mxfp4 flashinfer_cutedsl cutlass aiter marlin humming experimental_sgl_marlin "
    "hpc_ops megamoe"
)
_A2A = "none deepep deepep_v2 mooncake nixl mori flashinfer megamoe pplx ascend_fuseep ascend_tp"
_LOAD_FORMATS = (
    "auto pt safetensors npcache dummy sharded_state presharded gguf expert_pack bitsandbytes mistral layered flash_rl "
    "remote remote_instance fastsafetensors private runai_streamer"
)
_FP8_GEMM = (
    "auto deep_gemm flashinfer_trtllm flashinfer_cutlass flashinfer_deepgemm flashinfer_cutedsl cutlass triton aiter"
)


def _size(name: str, aliases: str, help_: str) -> Flag:
    """A parallel size; 1 is no parallelism, which needs no flag."""
    return Flag(name, Kind.INTEGER, aliases=tuple(aliases.split()), minimum=1, neutral=1, tuned=True, help=help_)


def _switch(name: str, help_: str) -> Flag:
    return Flag(name, Kind.BOOLEAN, tuned=True, help=help_)


def _whole(name: str, minimum: int, help_: str) -> Flag:
    return Flag(name, Kind.INTEGER, minimum=minimum, tuned=True, help=help_)


def _choice(name: str, choices: str, help_: str, *aliases: str) -> Flag:
    return Flag(name, Kind.TEXT, tuple(choices.split()), aliases=aliases, tuned=True, help=help_)


_TUNED = (
    _size("tp-size", "tp tensor-parallel-size", "GPUs that share every layer"),
    _size("pp-size", "pp pipeline-parallel-size", "stages that the layers are divided into"),
    _size("dp-size", "dp data-parallel-size", "copies of the model; with enable-dp-attention parts of tp-size"),
    _size("ep-size", "ep expert-parallel-size", "GPUs that the experts are spread over; re-uses those of tp-size"),
    _size("dcp-size", "dcp decode-context-parallel-size", "parts of the KV cache of one sequence while decoding"),
    _size("attn-cp-size", "attention-context-parallel-size", "parts of a long prompt; re-uses the GPUs of tp-size"),
    _size("moe-dp-size", "moe-data-parallel-size", "copies of the experts; re-uses the GPUs of tp-size"),
    _size("moe-dense-tp-size", "", "GPUs that share the dense layers of a mixture of experts"),
    _switch("enable-dp-attention", "attention of different requests on different GPUs, experts shared by all"),
    _switch("enable-dp-lm-head", "with enable-dp-attention: vocabulary shared within each part"),
    _choice("load-balance-method", "auto round_robin follow_bootstrap_room total_requests total_tokens", "who gets it"),
    Flag(
        "mem-fraction-static",
        Kind.NUMBER,
        minimum=0,
        above=True,
        maximum=1,
        tuned=True,
        help="share of a GPU's memory for weights and KV cache; the rest is for activations",
    ),
    _whole("max-running-requests", 1, "requests that are worked on at a time"),
    _whole("max-queued-requests", 1, "requests that may wait; more are refused"),
    _whole("max-total-tokens", 1, "tokens in the KV cache, whatever the memory would allow"),
    _whole("chunked-prefill-size", -1, "tokens of a prompt computed in one step; -1: whole prompts"),
    _whole("max-prefill-tokens", 1, "tokens of prompts in one step"),
    _whole("prefill-max-requests", 1, "prompts in one step"),
    _whole("context-length", 1, "longest prompt with its answer, in tokens"),
    _whole("page-size", 1, "tokens in one page of the KV cache"),
    _choice("schedule-policy", "lpm random fcfs dfs-weight lof priority routing-key", "who is served first"),
    Flag(
        "schedule-conservativeness",
        Kind.NUMBER,
        minimum=0,
        tuned=True,
        help="above 1: admits fewer requests, so that fewer have to be taken back",
    ),
    _whole("stream-interval", 1, "tokens per streamed message"),
    _whole("num-continuous-decode-steps", 1, "decoding steps between two looks at the queue"),
    _whole("scheduler-recv-interval", 1, "steps between two looks for new requests"),
    _switch("enable-mixed-chunk", "prompts and answers in one step"),
    _switch("disable-overlap-schedule", "do not plan the next step while the GPU computes this one"),
    _switch("disable-radix-cache", "do not re-use the KV cache of prompts that begin alike"),
    _choice("radix-eviction-policy", "lru lfu slru priority", "what leaves the prefix cache first"),
    _switch("disable-chunked-prefix-cache", "DeepSeek: no prefix cache in pieces, which helps short prompts"),
    _switch("enable-hierarchical-cache", "a second level of KV cache in CPU memory"),
    Flag("hicache-ratio", Kind.NUMBER, minimum=0, tuned=True, help="size of the second level relative to the first"),
    _whole("hicache-size", 0, "size of the second level in GB, instead of a ratio"),
    _choice("hicache-write-policy", "write_back write_through write_through_selective", "when it is written"),
    _switch("enable-torch-compile", "compile the model; a long start, faster small batches"),
    _whole("torch-compile-max-bs", 1, "largest batch that is compiled"),
    _switch("disable-cuda-graph", "no CUDA graphs: starts faster, decodes slower"),
    _switch("disable-cuda-graph-padding", "CUDA graphs only for batches of exactly their size"),
    _whole("cuda-graph-max-bs", 1, "largest batch for which a CUDA graph is made"),
    Flag(
        "cuda-graph-bs",
        Kind.INTEGER,
        several=Several.VALUES,
        minimum=1,
        tuned=True,
        help="batch sizes for which CUDA graphs are made",
    ),
    _switch("disable-piecewise-cuda-graph", "no CUDA graphs for prompts"),
    _whole("piecewise-cuda-graph-max-tokens", 1, "longest prompt step for which a CUDA graph is made"),
    _choice("attention-backend", _ATTENTION, "kernels of the attention layers"),
    _choice("prefill-attention-backend", _ATTENTION, "attention kernels for prompts"),
    _choice("decode-attention-backend", _ATTENTION, "attention kernels for answers"),
    _choice("sampling-backend", "flashinfer pytorch ascend", "kernels that choose the next token"),
    _choice("grammar-backend", "xgrammar outlines llguidance none", "what keeps answers to a grammar"),
    _choice("moe-runner-backend", _MOE_RUNNERS, "kernels of the mixture of experts"),
    _choice("moe-a2a-backend", _A2A, "how tokens travel between expert parallel GPUs"),
    _choice("deepep-mode", "normal low_latency auto", "which side of the trade-off DeepEP takes"),
    _choice("fp8-gemm-backend", _FP8_GEMM, "kernels for 8-bit matrices", "fp8-gemm-runner-backend"),
    _switch("enable-eplb", "move busy experts between GPUs while serving"),
    _switch("enable-two-batch-overlap", "overlap communication of one half batch with computation of the other"),
    _switch("enable-flashinfer-allreduce-fusion", "all-reduce and normalisation in one kernel"),
    _switch("disable-custom-all-reduce", "use NCCL instead of the custom all-reduce"),
    _switch("disable-shared-experts-fusion", "DeepSeek: shared experts apart from the others"),
    _choice("dtype", "auto half float16 bfloat16 float float32", "type of weights and activations"),
    _choice("quantization", _QUANTIZATIONS, "how weights are quantised; changes answers"),
    _choice(
        "kv-cache-dtype",
        "auto fp8_e5m2 fp8_e4m3 bf16 bfloat16 fp4_e2m1",
        "type of KV cache entries; 8 bits halve it and change answers slightly",
    ),
    Flag("torchao-config", Kind.TEXT, tuned=True, help="quantisation by torchao: int8wo, fp8wo, int4wo-128 and others"),
    _choice("speculative-algorithm", "EAGLE EAGLE3 NEXTN STANDALONE NGRAM DFLASH DSPARK", "how tokens are guessed"),
    Flag(
        "speculative-draft-model-path",
        Kind.TEXT,
        aliases=("speculative-draft-model",),
        tuned=True,
        help="the small model that guesses",
    ),
    _whole("speculative-num-steps", 1, "steps of the draft model per guess"),
    _whole("speculative-eagle-topk", 1, "branches per step"),
    _whole("speculative-num-draft-tokens", 1, "tokens that are checked at a time"),
    _whole("tokenizer-worker-num", 1, "processes that turn text into tokens"),
    Flag("cpu-offload-gb", Kind.NUMBER, minimum=0, tuned=True, help="GB of weights kept in CPU memory"),
    _whole("triton-attention-num-kv-splits", 1, "parts of a long context in Triton's decoding kernel"),
    Flag("random-seed", Kind.INTEGER, tuned=True, help="seed of the engine's random numbers"),
    _choice("load-format", _LOAD_FORMATS, "how weights are read; dummy: not at all"),
)

_SWITCHES = """
abort-on-priority-when-disabled allow-auto-truncate collect-tokens-histogram constrained-json-disable-any-whitespace
disable-fast-image-processor disable-flashinfer-autotune disable-flashinfer-cutlass-moe-fp4-allgather
disable-hybrid-swa-memory disable-outlines-disk-cache disable-tokenizer-batch-decode enable-aiter-allreduce-fusion
enable-attn-tp-input-scattered enable-cache-report enable-cudagraph-gc enable-custom-logit-processor
enable-deepep-waterfill enable-deterministic-inference enable-dsa-prefill-context-parallel
enable-dynamic-batch-tokenizer enable-dynamic-chunking enable-expert-distribution-metrics enable-fp32-lm-head
enable-fused-grouped-gemm-combine
enable-fused-qk-norm-rope enable-layerwise-nvtx-marker enable-lmcache enable-lora enable-lora-overlap-loading
enable-memory-saver enable-metrics enable-metrics-for-all-schedulers enable-mfu-metrics enable-mscclpp
enable-multi-layer-eagle enable-multimodal enable-nan-detection enable-nccl-nvls enable-p2p-check
enable-precise-embedding-interpolation enable-prefill-delayer enable-priority-scheduling enable-profile-cuda-graph
enable-quant-communications enable-request-time-stats-logging enable-return-hidden-states enable-return-routed-experts
enable-single-batch-overlap enable-symm-mem enable-tokenizer-batch-encode enable-torch-symm-mem enable-trace
enable-weights-cpu-backup enforce-piecewise-cuda-graph flashinfer-mla-disable-ragged incremental-streaming-output
is-embedding keep-mm-feature-on-device language-only log-requests quantize-and-serve schedule-low-priority-values-first
show-time-cost skip-server-warmup skip-tokenizer-init sleep-on-idle triton-attention-reduce-in-fp32 trust-remote-code
"""
_INTEGERS = """
decode-log-interval dist-timeout dynamic-batch-tokenizer-batch-size ep-num-redundant-experts
eplb-rebalance-layers-per-chunk eplb-rebalance-num-iterations expert-distribution-recorder-buffer-size kt-cpuinfer
kt-max-deferred-experts-per-token kt-num-gpu-experts kt-threadpool-count log-requests-level mamba-track-interval
max-loaded-loras max-lora-chunk-size max-lora-rank max-loras-per-batch max-mamba-cache-size nccl-port
num-reserved-decode-tokens offload-group-size offload-num-in-group offload-prefetch-step pp-async-batch-depth
pp-max-micro-batch-size prefill-delayer-max-delay-passes priority-scheduling-preemption-threshold
speculative-ngram-capacity speculative-ngram-max-bfs-breadth speculative-ngram-max-trie-depth
speculative-ngram-min-bfs-breadth triton-attention-split-tile-size
"""
_NUMBERS = """
dynamic-batch-tokenizer-batch-timeout eplb-min-rebalancing-utilization-threshold gc-warning-threshold-secs
lora-drain-wait-threshold mamba-full-memory-ratio prefill-delayer-max-delay-ms prefill-delayer-queue-min-ratio
prefill-delayer-token-usage-low-watermark soft-watchdog-timeout speculative-accept-threshold-acc
speculative-accept-threshold-single swa-full-tokens-ratio tbo-token-distribution-threshold watchdog-timeout
"""
_TEXTS = """
chat-template completion-template constrained-json-whitespace-pattern crash-dump-folder deepep-config
deepep-dispatcher-output-dtype device dllm-algorithm dllm-algorithm-config download-dir dsa-decode-backend
dsa-prefill-backend ep-dispatch-algorithm eplb-algorithm expert-distribution-recorder-mode
flashinfer-mxfp4-moe-precision fp4-gemm-backend hf-chat-template-name hicache-io-backend hicache-mem-layout
hicache-storage-backend hicache-storage-prefetch-policy init-expert-location kt-method kt-weight-path log-level
log-level-http log-requests-format lora-backend lora-eviction-policy mamba-backend mamba-radix-cache-strategy
mamba-scheduler-strategy mamba-ssm-dtype mm-attention-backend model-impl modelopt-quant offload-mode
otlp-traces-endpoint piecewise-cuda-graph-compiler quantization-param-path reasoning-parser revision
sampling-defaults speculative-attention-mode speculative-draft-attention-backend
speculative-draft-load-format speculative-draft-model-quantization speculative-draft-model-revision
speculative-moe-a2a-backend speculative-moe-runner-backend speculative-ngram-match-type speculative-token-map
tokenizer-mode tool-call-parser tool-server warmups weight-version
"""
_JSON = """
hicache-storage-backend-extra-config hierarchical-sparse-attention-extra-config json-model-override-args
kv-events-config model-loader-extra-config piecewise-cuda-graph-tokens preferred-sampling-params
"""
_TEXT_LISTS = """
log-requests-target lora-paths lora-target-modules numa-node tokenizer-metrics-allowed-custom-labels
uvicorn-access-log-exclude-prefixes
"""


def _rest() -> Iterator[Flag]:
    """The flags that are rarely tuned."""
    yield from (Flag(name, Kind.BOOLEAN) for name in _SWITCHES.split())
    yield from (Flag(name, Kind.INTEGER) for name in _INTEGERS.split())
    yield from (Flag(name, Kind.NUMBER) for name in _NUMBERS.split())
    yield from (Flag(name, Kind.TEXT) for name in _TEXTS.split())
    yield from (Flag(name, Kind.JSON) for name in _JSON.split())
    yield from (Flag(name, Kind.TEXT, several=Several.VALUES) for name in _TEXT_LISTS.split())


SGLANG_FLAGS = (*_TUNED, *_rest())
