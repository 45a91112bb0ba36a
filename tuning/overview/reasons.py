"""Why an experiment failed, for a person: what each reason means, and what to do about it."""

from dataclasses import dataclass

from tuning.errors import Reason


@dataclass(frozen=True)
class Advice:
    """A reason in words."""

    meaning: str
    advice: str


_ADVICE: dict[Reason, Advice] = {
    Reason.INVALID_CONFIG: Advice(
        "The engine refuses this combination of parameters, or no machine can hold it.",
        "It costs little time and takes nothing from the search. A constraint in the search space keeps it out.",
    ),
    Reason.OUT_OF_MEMORY: Advice(
        "The GPU, or the machine, does not have the memory that this configuration needs.",
        "Lower gpu-memory-utilization, the context length or the batch limits, use more GPUs, or a smaller data type.",
    ),
    Reason.MODEL_NOT_FOUND: Advice(
        "The engine cannot find or read the model.",
        "Check model.id and its spelling; a gated model needs HF_TOKEN in the worker's environment.",
    ),
    Reason.ENGINE_NOT_FOUND: Advice(
        "The engine is not installed where it was looked for.",
        "Check engine.python, engine.executable or engine.image in the document.",
    ),
    Reason.PORT_IN_USE: Advice(
        "Another process listens on the port that the engine was given.",
        "Retry the task: the next attempt gets another port.",
    ),
    Reason.PULL_FAILED: Advice(
        "The image could not be pulled.",
        "Check engine.image, the registry and its credentials, and how much disk space is free.",
    ),
    Reason.STARTUP_TIMEOUT: Advice(
        "The engine did not answer within limits.ready_s.",
        "See in the log whether it was still loading; a large model may need a higher limits.ready_s.",
    ),
    Reason.ENGINE_CRASHED: Advice(
        "The engine ended by itself.",
        "The last lines of its log, below, are the best hint; if it is not this configuration, retry the task.",
    ),
    Reason.WRONG_MODEL: Advice(
        "What answered serves another model, or under another name, than was asked for.",
        "Check model.id and model.served_name, and that nothing else serves at this address.",
    ),
    Reason.BENCHMARK_FAILED: Advice(
        "The load generator could not measure anything.",
        "See its lines in the log. The same reason in every experiment points at the workload, not at the engine.",
    ),
    Reason.LOAD_POINT_TIMEOUT: Advice(
        "A load point took longer than limits.load_point_s.",
        "The configuration is too slow for this load; send fewer requests, or raise the limit.",
    ),
    Reason.EXPERIMENT_TIMEOUT: Advice(
        "The experiment took longer than it may, or a step of it hung.",
        "See in the log where the time went; limits.experiment_s is the limit of the whole.",
    ),
    Reason.LOST_WORKER: Advice(
        "The worker ended during several attempts.",
        "This configuration may be what ends it: look at the memory of the machine and at the worker's own log.",
    ),
    Reason.CANCELLED: Advice(
        "It was stopped before it was measured.",
        "It says nothing of the configuration. Retrying or resuming the task runs it again.",
    ),
    Reason.INTERNAL_ERROR: Advice(
        "The tuner itself failed; it says nothing of the configuration.",
        "The worker's log has the details; please report them. Retrying the task runs it again.",
    ),
}


def advice(reason: str) -> Advice | None:
    """What the kept reason means; None for none."""
    return _ADVICE[Reason(reason)] if reason else None
