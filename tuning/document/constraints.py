"""Comparisons between parameters, read by a small grammar and never by `eval`.

    max-num-batched-tokens >= max-num-seqs
    tensor-parallel-size * pipeline-parallel-size <= 8
    enable-chunked-prefill == true or max-num-batched-tokens >= 4096

Names are flags as the document writes them; a minus sign between two names needs blanks around it.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

MAX_LENGTH = 1000

_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_WORDS = {"true": "True", "false": "False", "and": "and", "or": "or", "not": "not"}
_TOKEN = re.compile(r"""(?P<text>'[^']*'|"[^"]*")|(?P<name>(?:env:)?[A-Za-z_][\w.]*(?:-\w[\w.]*)*)""")


@dataclass(frozen=True)
class Constraint:
    """One condition that a configuration has to meet."""

    text: str
    names: frozenset[str]
    _tree: ast.expr
    _aliases: Mapping[str, str]

    def holds(self, parameters: Mapping[str, JsonValue]) -> bool:
        """Whether `parameters` meet it; one that is absent or null makes the condition not apply.

        Values that cannot be compared or computed with (a text and a number, division by zero) do not meet it.
        """
        if any(parameters.get(name) is None for name in self.names):
            return True
        try:
            return bool(_value(self._tree, {alias: parameters[name] for alias, name in self._aliases.items()}))
        except (TypeError, ZeroDivisionError, OverflowError):
            return False


def parse_constraint(text: str, names: Iterable[str]) -> Constraint:
    """Read one condition over the parameters `names`; ValueError says what is wrong with it."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a constraint has at most {MAX_LENGTH} characters")
    known = sorted(names)
    aliases: dict[str, str] = {}

    def python(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None or name in _WORDS:
            return match["text"] if name is None else _WORDS[name]
        if name not in known:
            raise ValueError(f"{text!r} names {name!r}, which is not a parameter; known are {', '.join(known)}")
        alias = f"_{known.index(name)}"
        aliases[alias] = name
        return alias

    tree = _parse(text, _TOKEN.sub(python, text))
    return Constraint(text, frozenset(aliases.values()), tree, aliases)


def _parse(text: str, source: str) -> ast.expr:
    try:
        tree = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f"{text!r} is not a comparison between parameters") from error
    if not isinstance(tree, ast.Compare | ast.BoolOp | ast.UnaryOp):
        raise ValueError(f"{text!r} is not a comparison between parameters")
    _check(text, tree)
    return tree


def _check(text: str, node: ast.AST) -> None:
    """Refuse everything but comparisons, and/or/not, + - * / %, names and plain constants."""
    for child in ast.walk(node):
        if isinstance(child, ast.BoolOp | ast.boolop | ast.Compare | ast.BinOp | ast.Name | ast.Load):
            continue
        if isinstance(child, ast.Constant) and isinstance(child.value, bool | int | float | str):
            continue
        if isinstance(child, ast.UnaryOp | ast.Not | ast.USub) or type(child) in _OPERATORS:
            continue
        raise ValueError(f"{text!r} uses {type(child).__name__}, which a constraint cannot; see the grammar")


def _value(node: ast.expr, values: Mapping[str, JsonValue]) -> Any:
    match node:
        case ast.Constant(value=constant):
            return constant
        case ast.Name(id=alias):
            return values[alias]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, values)
        case ast.UnaryOp(operand=operand):
            return -_value(operand, values)
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(part, values) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_value(part, values) for part in parts)
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_value(left, values), _value(right, values))
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            operands = [_value(part, values) for part in (left, *comparators)]
            pairs = zip(ops, operands, operands[1:], strict=False)
            return all(_OPERATORS[type(op)](a, b) for op, a, b in pairs)
    raise TypeError(f"{type(node).__name__} was let through by the check")
