"""All addresses of the pages, read from tuning/urls.py, so that a new one is tried by itself."""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.urls import URLPattern
from django.urls.converters import IntConverter, StringConverter
from django.urls.resolvers import RoutePattern

from tuning import urls

PARAMETER = re.compile(r"<(?:\w+:)?(?P<name>\w+)>")
ID = "id"
WORD = re.compile(r"[\w-]+(\|[\w-]+)+")


@dataclass(frozen=True)
class Address:
    """One line of tuning/urls.py; `route` is relative to the root of the site."""

    name: str
    route: str
    words: Mapping[str, tuple[str, ...]]
    """The words that each of its parameters may be; ("id",) where it is a number or anything else."""

    @property
    def parameters(self) -> list[str]:
        return list(self.words)

    def path(self, **values: str) -> str:
        """The path with these values, which are taken as they are: percent-encoded, valid or not."""
        return "/" + PARAMETER.sub(lambda match: values[match["name"]], self.route)

    def paths(self, **ids: str) -> Iterator[str]:
        """Every path of it, with `ids` where its parameters are no words."""
        for chosen in itertools.product(*self.words.values()):
            values = dict(zip(self.words, chosen, strict=True))
            yield self.path(**{name: ids.get(name, "1") if value == ID else value for name, value in values.items()})


def walk() -> list[Address]:
    """Every address, in the order of the file."""
    return [_address(pattern) for pattern in urls.urlpatterns if isinstance(pattern, URLPattern)]


def _address(pattern: URLPattern) -> Address:
    assert isinstance(pattern.pattern, RoutePattern)
    converters = pattern.pattern.converters
    words = {name: _words(converter) for name, converter in converters.items()}
    return Address(str(pattern.name), str(pattern.pattern), words)


def _words(converter: object) -> tuple[str, ...]:
    regex = getattr(converter, "regex", "")
    is_choice = isinstance(converter, StringConverter) and not isinstance(converter, IntConverter)
    return tuple(regex.split("|")) if is_choice and WORD.fullmatch(regex) else (ID,)
