"""Comparisons between parameters, read by a small grammar and never by `eval`.

    max-num-batched-tokens >= max-num-seqs
    tensor-parallel-size * pipeline-parallel-size <= 8
    enable-chunked-prefill == true or max-num-batched-tokens >= 4096
    not enforce-eager and kv-cache-dtype != "fp8"

A condition is made of comparisons (`<`, `<=`, `>`, `>=`, `==`, `!=`) and of parameters that are true or false, joined
by `and`, `or`, `not` and brackets. Numbers can be added, subtracted, multiplied, divided and taken modulo. Names are
flags as the document writes them; a minus sign between two names needs blanks around it. Text stands in quotes.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydantic import JsonValue

MAX_LENGTH = 1000
MAX_DEPTH = 50

_ARITHMETIC: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_ORDER: dict[type[ast.AST], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_NOT_OURS = (ast.Call, ast.Tuple, ast.Starred)
"""What brackets can make of the tokens beside groups."""

_WORDS = {"true": "True", "false": "False", "and": "and", "or": "or", "not": "not"}
_TOKEN = re.compile(
    r"""\s*(?:
        '(?P<single>[^']*)' | "(?P<double>[^"]*)"
      | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)
      | (?P<name>(?:env:)?[A-Za-z_][A-Za-z0-9_.]*(?:-[A-Za-z0-9_][A-Za-z0-9_.]*)*)
      | (?P<sign><=|>=|==|!=|[-<>+*/%()])
    )""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True)
class Constraint:
    """One condition that a configuration has to meet."""

    text: str
    names: frozenset[str]
    _tree: ast.expr
    _aliases: Mapping[str, str]
    _texts: Mapping[str, str]

    def holds(self, parameters: Mapping[str, JsonValue]) -> bool:
        """Whether `parameters` meet it; one that is absent or null makes the condition not apply.

        Values that cannot be compared or computed with (a text and a number, division by zero) do not meet it, nor
        does a number or text where true or false is needed. true and 1 are not equal.
        """
        if any(parameters.get(name) is None for name in self.names):
            return True
        values = {**self._texts, **{alias: parameters[name] for alias, name in self._aliases.items()}}
        try:
            return _truth(self._tree, values)
        except (TypeError, ZeroDivisionError, OverflowError):
            return False


def parse_constraint(text: str, names: Iterable[str]) -> Constraint:
    """Read one condition over the parameters `names`; ValueError says what is wrong with it."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a constraint has at most {MAX_LENGTH} characters")
    known = sorted(set(names))
    aliases: dict[str, str] = {}
    texts: dict[str, str] = {}
    source = [_python(match, text, known, aliases, texts) for match in _tokens(text)]
    tree = _parse(text, " ".join(source))
    return Constraint(text, frozenset(aliases.values()), tree, aliases, texts)


def _tokens(text: str) -> Iterator[re.Match[str]]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"{text!r} cannot be read from {text[position:].strip()[:20]!r} on")
        yield match
        position = match.end()


def _python(match: re.Match[str], text: str, known: list[str], aliases: dict[str, str], texts: dict[str, str]) -> str:
    """The token as Python has it; names and texts become aliases, which are noted."""
    name = match["name"]
    if name is None and (match["number"] or match["sign"]):
        return str(match["number"] or match["sign"])
    if name is None:
        texts[alias := f"_t{len(texts)}"] = match["single"] if match["single"] is not None else match["double"]
        return alias
    if name in _WORDS:
        return _WORDS[name]
    if name not in known:
        there = f"known are {', '.join(known)}" if known else "there are none"
        raise ValueError(f"{text!r} names {name!r}, which is not a parameter; {there}")
    aliases[alias := f"_{known.index(name)}"] = name
    return alias


def _parse(text: str, source: str) -> ast.expr:
    """The tree of `source`, in which the grammar of tokens leaves little that could be wrong."""
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f"{text!r} is not a comparison between parameters") from error
    if not _is_condition(tree) or any(isinstance(node, _NOT_OURS) for node in ast.walk(tree)):
        raise ValueError(f"{text!r} is not a comparison between parameters")
    if _is_deeper(tree, MAX_DEPTH):
        raise ValueError(f"{text!r} is nested more than {MAX_DEPTH} levels deep")
    return tree


def _is_condition(node: ast.expr) -> bool:
    return isinstance(node, ast.Compare | ast.BoolOp) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    )


def _is_deeper(tree: ast.AST, levels: int) -> bool:
    level: list[ast.AST] = [tree]
    for _ in range(levels):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return bool(level)


def _truth(node: ast.expr, values: Mapping[str, JsonValue]) -> bool:
    """Whether a condition holds; TypeError for what is neither true nor false."""
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_truth(part, values) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_truth(part, values) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _truth(operand, values)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            operands = [_value(part, values) for part in (left, *comparators)]
            return all(_compare(op, *pair) for op, pair in zip(ops, pairwise(operands), strict=True))
    value = _value(node, values)
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def _compare(op: ast.cmpop, left: Any, right: Any) -> bool:
    if isinstance(op, ast.Eq | ast.NotEq):
        equal = left == right and isinstance(left, bool) == isinstance(right, bool)
        return equal == isinstance(op, ast.Eq)
    return bool(_ORDER[type(op)](left, right))


def _value(node: ast.expr, values: Mapping[str, JsonValue]) -> Any:
    match node:
        case ast.Constant(value=constant):
            return constant
        case ast.Name(id=alias):
            return values[alias]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            number = _number(operand, values)
            return -number if isinstance(sign, ast.USub) else number
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](_number(left, values), _number(right, values))
    return _truth(node, values)


def _number(node: ast.expr, values: Mapping[str, JsonValue]) -> int | float:
    """The value of an operand; TypeError for all but numbers, as "a" * 10**9 would fill the memory."""
    value = _value(node, values)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return value
