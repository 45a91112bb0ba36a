"""The KV cache: blocks that sequences hold, and full prompt blocks that stay for the next equal prompt."""

from collections.abc import Hashable, Iterable, Sequence


class BlockPool:
    """Counts blocks; a cached block is known by the hash of everything up to its end.

    A block is free, private to one sequence, or cached. A cached block that no sequence holds can be evicted, the
    least recently used first.
    """

    def __init__(self, blocks: int, *, caching: bool) -> None:
        self.blocks = blocks
        self._caching = caching
        self._free = blocks
        self._holders: dict[int, int] = {}
        self._evictable: dict[int, None] = {}

    @property
    def usage(self) -> float:
        """Share of the blocks that sequences hold, 0 to 1."""
        return 1.0 - (self._free + len(self._evictable)) / self.blocks

    def take(self, count: int) -> bool:
        """Take ``count`` private blocks, evicting cached ones if needed; False and no change if there are too few."""
        if count > self._free + len(self._evictable):
            return False
        while self._free < count:
            oldest = next(iter(self._evictable))
            del self._evictable[oldest], self._holders[oldest]
            self._free += 1
        self._free -= count
        return True

    def pin_prefix(self, hashes: Sequence[int]) -> list[int]:
        """Hold the longest cached beginning of ``hashes`` and return it."""
        pinned: list[int] = []
        for block in hashes:
            if block not in self._holders:
                break
            self._evictable.pop(block, None)
            self._holders[block] += 1
            pinned.append(block)
        return pinned

    def publish(self, hashes: Iterable[int]) -> list[int]:
        """Turn private blocks into cached ones held once; returns the hashes that were not cached yet."""
        if not self._caching:
            return []
        published = [block for block in dict.fromkeys(hashes) if block not in self._holders]
        self._holders.update(dict.fromkeys(published, 1))
        return published

    def release(self, private: int, pinned: Sequence[int]) -> None:
        """Give back private blocks, and let go of cached ones (the end of a prompt is evicted before its start)."""
        self._free += private
        for block in reversed(pinned):
            self._holders[block] -= 1
            if not self._holders[block]:
                self._evictable[block] = None


def block_hashes(tokens: Sequence[Hashable], block_tokens: int) -> tuple[int, ...]:
    """A hash per full block of ``tokens``, each over everything up to the block's end.

    The last token is never taken from the cache (its logits are needed), so a block that ends the prompt has no hash.
    """
    hashes: list[int] = []
    previous = 0
    for end in range(block_tokens, len(tokens), block_tokens):
        previous = hash((previous, *tokens[end - block_tokens : end]))
        hashes.append(previous)
    return tuple(hashes)
