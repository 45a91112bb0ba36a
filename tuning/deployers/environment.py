"""The environment of an engine that runs as a process of this machine.

It gets a short list of the parent's variables, never all of them: the web server's secrets are none of its business,
and a stray PYTHONPATH or VIRTUAL_ENV of ours would break an engine that is installed elsewhere. Where the program
lies comes first in PATH, because engines call tools (`ninja`) that are installed beside them.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

_KEPT = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TERM|TMPDIR|XDG_\w+_HOME|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH"
    r"|(CUDA|NVIDIA|NCCL|GLOO|UCX|HIP|ROCR|ROCM|HSA|AMD|ASCEND|ZE|OMP|MKL|KMP|OPENBLAS|NUMEXPR)_\w+"
    r"|(HF|HUGGINGFACE|HUGGING_FACE|TRANSFORMERS|TOKENIZERS|MODELSCOPE|SAFETENSORS)_\w+"
    r"|(TORCH|TORCHINDUCTOR|PYTORCH|TRITON|VLLM|SGLANG|SGL|FLASHINFER|DG|LMCACHE|MOONCAKE)_\w+"
    r"|(?i:https?_proxy|all_proxy|no_proxy)|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
)
_DROPPED = re.compile(r"VLLM_(API_KEY|PORT|HOST_IP|CONFIG_ROOT)|NVIDIA_VISIBLE_DEVICES")
"""They would lock out the load generator, or move the server away from where it is looked for."""

_LOOPBACK = "localhost,127.0.0.1,::1"


def engine_environment(
    *,
    parent: Mapping[str, str],
    document: Mapping[str, str],
    marks: Mapping[str, str],
    gpus: tuple[str, ...],
    program: str,
) -> dict[str, str]:
    """The whole environment: what is kept of `parent`, then the document's variables, then what is ours to say."""
    chosen = {name: value for name, value in parent.items() if _KEPT.fullmatch(name) and not _DROPPED.fullmatch(name)}
    if os.sep in program:
        chosen["PATH"] = os.pathsep.join([str(Path(program).parent), chosen.get("PATH", os.defpath)])
    chosen.update(_without_proxy(chosen))
    # Python buffers what it prints to a pipe; a title set by setproctitle would overwrite the marks in the environment.
    chosen.update({"PYTHONUNBUFFERED": "1", "SPT_NOENV": "1"})
    devices = {"CUDA_VISIBLE_DEVICES": ",".join(gpus), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if gpus else {}
    return {**chosen, **document, **devices, **marks}


def _without_proxy(chosen: Mapping[str, str]) -> dict[str, str]:
    """Engines ask themselves whether they are warm; that must not go through a proxy."""
    before = chosen.get("no_proxy") or chosen.get("NO_PROXY")
    exceptions = ",".join(part for part in (before, _LOOPBACK) if part)
    return {"no_proxy": exceptions, "NO_PROXY": exceptions}
