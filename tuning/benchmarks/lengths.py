"""Whether requests had the lengths that were asked for, whatever the load generator."""

from collections.abc import Sequence

import numpy as np

from tuning.scoring.metrics import Measurement

TOLERANCE = 0.10


def length_values(side: str, asked: Sequence[float], served: Sequence[float]) -> dict[str, float]:
    """Mean tokens a request for `Measurement.extra`; `side` is `input` or `output`, an empty sequence is left out."""
    means = {f"{side}_tokens_requested": asked, f"{side}_tokens_served": served}
    return {name: float(np.mean(values)) for name, values in means.items() if len(values)}


def length_warnings(measurement: Measurement) -> list[str]:
    """A sentence for each side whose served length is more than a tenth away from what was asked for."""
    texts = []
    for side in ("input", "output"):
        asked = measurement.extra.get(f"{side}_tokens_requested")
        served = measurement.extra.get(f"{side}_tokens_served")
        if asked and served is not None and abs(served - asked) > TOLERANCE * asked:
            texts.append(f"{measurement.load_point}: {served:.0f} {side} tokens a request instead of {asked:.0f}")
    return texts
