"""Documents of earlier systems, translated into ours; nothing in them is dropped without a note.

document.py      the whole document: who it is about, which parts it has
translation.py   what the parts share: reading, writing, notes, and where in the old text a field came from
parameters.py    the search space as it was written
quantisation.py  quant_config as engine flags
parallelism.py   parallel_config as engine flags
combinations.py  flags that move together as a search space
goals.py         optimization and slo
benchmark.py     benchmark
"""

from tuning.document.legacy.document import is_legacy, translate

__all__ = ["is_legacy", "translate"]
