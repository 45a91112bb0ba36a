"""Why an engine ended, from the end of its log and its exit code.

The first line that names a cause wins: what follows it (`Engine core initialization failed`) is a consequence. Only the
reason comes from here; what an experiment is worth is never decided by words in a log.
"""

import re
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tuning.document.task import EngineName
from tuning.engines.base import Explanation
from tuning.errors import Reason

MAX_LINE = 500
"""Characters of the explaining line."""


@dataclass(frozen=True)
class Cause:
    """Texts that name one cause; `with_before` says that the line before the matching one belongs to it."""

    reason: Reason
    pattern: re.Pattern[str]
    with_before: bool = False


def _cause(reason: Reason, *patterns: str, with_before: bool = False) -> Cause:
    return Cause(reason, re.compile("|".join(patterns)), with_before)


_VLLM = (
    _cause(
        Reason.OUT_OF_MEMORY,
        r"(Free|Available) memory on .* is less than (desired|requested)",
        r"No available memory for the cache blocks",
        r"larger than the available KV cache memory",
        r"larger than the maximum number of tokens that can be stored in KV cache",
        r"KV cache is needed, which is larger than",
        r"Not enough memory .*KV cache",
    ),
    _cause(
        Reason.INVALID_CONFIG,
        r"User-specified max_model_len .* is greater than the derived max_model_len",
        r"must be divisible by (the )?tensor[ _]parallel[ _]size",
        r"max_num_batched_tokens .*(is smaller than|must be greater than)",
        r"Unknown quantization method",
        r"[Qq]uantization (method )?.*(is not supported|does not match)",
        r"World size .* is larger than the number of available GPUs",
        r"Bfloat16 is only supported on GPUs",
        r"not divisible by .*(block|parallel)",
    ),
    _cause(
        Reason.ENGINE_CRASHED,
        r"Failed to infer device type",
        r"NVIDIA driver on your system is too old",
        r"Found no NVIDIA driver",
        r"no kernel image is available",
    ),
)

_SGLANG = (
    _cause(
        Reason.OUT_OF_MEMORY,
        r"Not enough memory[.;,]? .*mem-fraction-static",
        r"(Prefill|Decode) out of memory",
        r"Out of memory even after retracting",
        r"Capture cuda graph failed: .*out of memory",
        r"Please (try to )?(increase|reduce|lower) .*mem-fraction-static",
    ),
    _cause(
        Reason.INVALID_CONFIG,
        r"AssertionError: .*(must be|should be|divisible|not supported|only support|incompatible|Please (set|enable))",
        r"AssertionError: .*(tp_size|dp_size|pp_size|ep_size|chunked_prefill_size|page_size)",
        r"Context length .* is greater than the derived context length",
        r"[Uu]nknown quantization",
    ),
    _cause(
        Reason.ENGINE_CRASHED,
        r"NVIDIA driver on your system is too old",
        r"Found no NVIDIA driver",
        r"No accelerator .*is available",
        r"no kernel image is available",
    ),
)

_ANY = (
    _cause(
        Reason.ENGINE_NOT_FOUND, r"No module named '?(vllm|sglang|simulated_engine)\b", r"No package metadata was found"
    ),
    _cause(
        Reason.PORT_IN_USE,
        r"[Aa]ddress already in use",
        r"EADDRINUSE",
        r"error while attempting to bind on address",
        r"port \d+ is (already )?(in use|occupied|not available)",
    ),
    _cause(
        Reason.OUT_OF_MEMORY,
        r"OutOfMemoryError",
        r"(CUDA|HIP|XPU)( error:)? out of memory",
        r"CUBLAS_STATUS_ALLOC_FAILED",
        r"cudaErrorMemoryAllocation",
        r"DefaultCPUAllocator: (can't|not enough)",
        r"\bMemoryError\b",
        r"std::bad_alloc",
        r"Cannot allocate memory",
        r"[Oo]ut of memory: Killed process",
        r"oom[-_ ]kill",
    ),
    _cause(
        Reason.MODEL_NOT_FOUND,
        r"is not a local folder and is not a valid model identifier",
        r"Cannot find an appropriate cached snapshot folder",
        r"Repo(sitory)?NotFoundError",
        r"Repository Not Found",
        r"GatedRepoError",
        r"LocalEntryNotFoundError",
        r"OfflineModeIsEnabled",
        r"Invalid repository ID or local directory",
        r"Repo id must (be|use)",
        r"does not appear to have a file named",
        r"Can't load the configuration of",
        r"Cannot find any model weights",
        r"We couldn't connect to 'https?://",
        r"Incorrect path_or_model_id",
        r"No such file or directory: '[^']*config\.json'",
    ),
    _cause(
        Reason.INVALID_CONFIG,
        r"error: (unrecognized arguments|argument |the following arguments are required|ambiguous option)",
        r"^Value error, ",
    ),
    _cause(Reason.INVALID_CONFIG, r"\[type=\w+, input_value=", with_before=True),  # pydantic names the field before it
)

_SUDDEN = _cause(
    Reason.ENGINE_CRASHED,
    r"died unexpectedly \(exit code: -?\d+\)",
    r"engine core exited unexpectedly",
    r"Engine core proc \S+ died unexpectedly",
)
"""A process that vanished; looked for only where no line names a cause."""

_BY_ENGINE = {EngineName.VLLM: _VLLM, EngineName.SGLANG: _SGLANG, EngineName.SIMULATED: _VLLM}

_PREFIX = re.compile(
    r"^(\([^()]{1,80} pid=\d+\) ?)?"
    r"(\[[\d\-: ,.]{8,30}( \w+)*\] )?"
    r"((?P<level>CRITICAL|FATAL|ERROR|WARNING|WARN|INFO|DEBUG)\b:?\s*)?"
    r"(\d\d-\d\d \d\d:\d\d:\d\d )?(\[[\w./-]+:\d+\] )?"
)
"""What loggers of vLLM, SGLang and uvicorn put in front of a message."""
_SOURCE = re.compile(r"^(raise |return |File \"|\^+$|~+)")
"""Lines of a traceback that quote the program."""
_HARMLESS = {"WARNING", "WARN", "INFO", "DEBUG"}
_CONSEQUENCE = re.compile(
    r"Engine core initialization failed|EngineCore (failed|encountered)|EngineDeadError|See root cause above"
    r"|AsyncLLM output_handler failed|WorkerProc initialization failed|leaked \w+ objects|Rank \d+ scheduler is dead"
    r"|Initialization failed\. Please see the error messages above|died unexpectedly|^RuntimeError: Executor failed"
    r"|During handling of the above exception|^EOFError\b|Received sigquit from a child process"
)
_ERROR_LIKE = re.compile(
    r"^(\w+\.)*\w*(Error|Exception|Interrupt|Exit)\b(:|$)|\b(error|fatal|panic|failed)\b", re.IGNORECASE
)


def explain(log: Sequence[str], exit_code: int | None, *, engine: EngineName) -> Explanation:
    """The reason, and the line that tells it; `exit_code` is negative for a signal, as `subprocess` has it."""
    lines = list(_lines(log))
    named = _named_cause(lines, (*_BY_ENGINE[engine], *_ANY))
    return named or _named_cause([("", text) for _, text in lines], (_SUDDEN,)) or _crash(lines, exit_code)


def _lines(log: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Level (empty when unknown) and text of each line that says something, its prefix taken off."""
    for line in log:
        match = _PREFIX.match(line)
        text = line[match.end() :].strip() if match else line.strip()
        if text and not _SOURCE.match(text):
            yield (match["level"] or "") if match else "", text


def _named_cause(lines: Sequence[tuple[str, str]], causes: Sequence[Cause]) -> Explanation | None:
    before = ""
    for level, text in lines:
        if level not in _HARMLESS and (cause := next((cause for cause in causes if cause.pattern.search(text)), None)):
            return Explanation(cause.reason, _short(f"{before}: {text}" if cause.with_before and before else text))
        before = text
    return None


def _crash(lines: Iterable[tuple[str, str]], exit_code: int | None) -> Explanation:
    """The last error that is no mere consequence, and the signal that ended the process."""
    serious = [(level, text) for level, text in lines if level not in _HARMLESS]
    errors = [text for _, text in serious if _ERROR_LIKE.search(text)] or [text for level, text in serious if level]
    causes = [text for text in errors if not _CONSEQUENCE.search(text)] or errors
    if not causes:
        return Explanation(Reason.ENGINE_CRASHED, _ending(exit_code))
    number = _signal(exit_code)
    ended = f" (the engine then ended by {_signal_name(number)})" if number else ""
    return Explanation(Reason.ENGINE_CRASHED, _short(causes[-1]) + ended)


def _ending(exit_code: int | None) -> str:
    if exit_code is None:
        return "the engine is running but does not serve"
    number = _signal(exit_code)
    if number == signal.SIGKILL:
        return "the engine was killed (SIGKILL): the kernel may have ended it because memory ran out"
    if number:
        return f"the engine was ended by {_signal_name(number)}"
    return f"the engine ended with exit code {exit_code} and named no error"


def _signal(exit_code: int | None) -> int:
    """The signal behind an exit code, 0 for none: negative from `subprocess`, 128 + n from shells and containers."""
    if exit_code is None or 0 <= exit_code <= 128:
        return 0
    return -exit_code if exit_code < 0 else exit_code - 128 if exit_code - 128 in _SIGNALS else 0


_SIGNALS = {number.value for number in signal.Signals}


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in _SIGNALS else f"signal {number}"


def _short(text: str) -> str:
    return text if len(text) <= MAX_LINE else text[: MAX_LINE - 4] + " ..."
