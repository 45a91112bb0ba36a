"""Pages of lists that may be very long: counting all of one would take longer than showing a page of it."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator

MOST = 10_000


class CappedPaginator(_Paginator):
    """Counts `MOST` rows at most; what lies beyond is found by a narrower filter, not by turning pages."""

    @cached_property
    def _counted(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: MOST + 1].count())

    @cached_property
    def count(self) -> int:
        """How many rows can be reached by turning pages."""
        return min(self._counted, MOST)

    @property
    def is_capped(self) -> bool:
        """Whether there are more."""
        return self._counted > MOST
