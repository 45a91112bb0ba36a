"""The search space at work: which configurations there are, without ever making a list of them."""

import json
from collections.abc import Callable, Hashable, Mapping
from math import prod

from pydantic import JsonValue

from tuning.document.base import Parameters
from tuning.document.space import SearchSpace
from tuning.search.domains import Domain, make_domain, same_value

Identity = Callable[[Parameters], Hashable]


def canonical_json(parameters: Parameters) -> str:
    """The parameters as one text, the same for every order of keys; null is as good as absent."""
    return json.dumps(_given(parameters), sort_keys=True, separators=(",", ":"))


class Space:
    """All configurations that the search space of a task document describes.

    A configuration holds the fixed values and the parameters that are active in it. `identity` says which
    configurations start the same server, `allowed` which can run at all; neither may have side effects.
    Raises ValueError for a range with more numbers than can be told apart.
    """

    def __init__(
        self,
        section: SearchSpace,
        *,
        identity: Identity = canonical_json,
        allowed: Callable[[Parameters], bool] = lambda parameters: True,
    ) -> None:
        self.identity = identity
        self.allowed = allowed
        self.fixed: Parameters = dict(section.fixed)
        self.constraints = section.parsed_constraints()
        self._when = {name: parameter.when or {} for name, parameter in section.parameters.items()}
        names = _parents_first(self._when)
        self.domains: dict[str, Domain] = {name: make_domain(section.parameters[name]) for name in names}

    @property
    def upper_bound(self) -> int | None:
        """The product of the numbers of values, None when one cannot be counted.

        Exact without conditions and constraints; with them there are fewer (`tuning.search.walk.count`).
        """
        counts = [domain.count for domain in self.domains.values()]
        return prod(count or 0 for count in counts) if None not in counts else None

    def is_active(self, name: str, configuration: Mapping[str, JsonValue]) -> bool:
        """Whether the conditions of parameter `name` are met; a parent that is inactive itself meets none."""
        return all(
            parent in configuration and _meets(configuration[parent], wanted)
            for parent, wanted in self._when[name].items()
        )

    def build(self, choose: Callable[[str, Domain], JsonValue]) -> Parameters:
        """The configuration in which each active parameter has the value that `choose` gives, parents asked first."""
        configuration = dict(self.fixed)
        for name, domain in self.domains.items():
            if self.is_active(name, configuration):
                configuration[name] = choose(name, domain)
        return configuration

    def accepts(self, configuration: Parameters) -> bool:
        """Whether a configuration built here meets the constraints and can run."""
        return all(constraint.holds(configuration) for constraint in self.constraints) and self.allowed(configuration)

    def locate(self, parameters: Parameters) -> Parameters | None:
        """The configuration of this space that `parameters` is, or None; null is as good as absent."""
        given = _given(parameters)

        def choose(name: str, domain: Domain) -> JsonValue:
            if domain.index(given.get(name)) is None:
                raise LookupError(name)
            return given.get(name)

        try:
            configuration = self.build(choose)
        except LookupError:
            return None
        same = canonical_json(configuration) == canonical_json(given)
        return configuration if same and self.accepts(configuration) else None

    def contains(self, parameters: Parameters) -> bool:
        """Whether `parameters` is a configuration of this space."""
        return self.locate(parameters) is not None


def _given(parameters: Mapping[str, JsonValue]) -> Parameters:
    return {name: value for name, value in parameters.items() if value is not None}


def _parents_first(conditions: Mapping[str, Mapping[str, JsonValue]]) -> list[str]:
    """The parameters in the order of the document, but each after those that its conditions name."""
    varied = {name: when.keys() & conditions.keys() for name, when in conditions.items()}
    ordered: dict[str, None] = {}
    while len(ordered) < len(varied):
        ordered[next(name for name in varied if name not in ordered and ordered.keys() >= varied[name])] = None
    return list(ordered)


def _meets(value: JsonValue, wanted: JsonValue) -> bool:
    """Whether `value` is the wanted one, or one of a list of wanted ones."""
    return same_value(value, wanted) or (isinstance(wanted, list) and any(same_value(value, one) for one in wanted))
