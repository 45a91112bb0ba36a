"""Sentences for people in place of pydantic's messages."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import JsonValue
from pydantic_core import ErrorDetails

from tuning.document.base import ENVIRONMENT_NAME, FieldPath, Section
from tuning.document.goals import STATISTIC
from tuning.document.space import PARAMETER_NAME
from tuning.document.task import IMAGE, MEMORY, NAMESPACE, REFERENCE, SERVED_NAME, TITLE, TaskDocument

_SECRET = re.compile(r"(^|[-_])token$|secret|password|credential|api[-_]?key", re.IGNORECASE)
_SENTENCES = {
    "missing": "is needed",
    "bool_type": "true or false is needed",
    "int_type": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "float_type": "a number is needed",
    "string_type": "text is needed",
    "path_type": "the path of a file is needed, as text",
    "dict_type": "fields with values are needed",
    "model_type": "fields with values are needed",
    "model_attributes_type": "fields with values are needed",
    "tuple_type": "a list is needed",
    "greater_than": "more than {gt} is needed",
    "greater_than_equal": "at least {ge} is needed",
    "less_than": "less than {lt} is needed",
    "less_than_equal": "at most {le} is allowed",
    "too_short": "at least {min_length} is needed",
    "too_long": "at most {max_length} are allowed",
    "string_too_short": "at least {min_length} character is needed",
    "string_too_long": "at most {max_length} characters are allowed",
    "enum": "allowed are {expected}",
    "literal_error": "allowed is {expected}",
    "union_tag_invalid": "allowed as {discriminator} are {expected_tags}",
    "union_tag_not_found": "fields with values are needed, among them {discriminator}",
}
FORMS = {
    STATISTIC: "mean or a percentile such as p50, p99 or p99.9",
    ENVIRONMENT_NAME: "a name of letters, digits and underscores",
    PARAMETER_NAME: "an engine flag without its dashes, or env:NAME,",
    IMAGE: "an image tag or reference such as v0.12.0 or registry:5000/vllm/vllm-openai:v0.12.0",
    REFERENCE: "a path or a hub id such as meta-llama/Llama-3.2-1B",
    SERVED_NAME: "a name of letters, digits, dots, dashes, underscores and slashes",
    MEMORY: "a size such as 512m or 16g",
    NAMESPACE: "a Kubernetes name of small letters, digits and dashes",
    TITLE: "one line of text without blanks around it",
}
"""What the regular expressions of the models mean."""

_SPEAK_FOR_THEMSELVES = ("rule", "value_error", "missing", "too_short", "too_long")


def sentence(error: ErrorDetails, path: FieldPath, value: JsonValue) -> str:
    """What is wrong at `path`, what is allowed there and, unless it may be a secret, what was found."""
    kind = error["type"]
    value = path[-1] if error["loc"][-1:] == ("[key]",) else value
    context = error.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown_field(str(path[-1]), known_fields(error["loc"][:-1]))
    if kind == "rule":
        return str(context["message"])
    if kind == "value_error":
        return str(context["error"])
    if kind == "string_pattern_mismatch":
        text = f"{FORMS.get(context['pattern'], 'the form ' + context['pattern'])} is needed"
    else:
        text = _SENTENCES.get(kind, error["msg"]).format_map(_Plain(context))
    return text if kind in _SPEAK_FOR_THEMSELVES else f"{text}, not {shown(value, path)}"


class _Plain(dict[str, Any]):
    """Context of an error, with whole floats as people write them."""

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        return int(value) if isinstance(value, float) and value.is_integer() else value


def unknown_field(name: str, known: Iterable[str]) -> str:
    """That `name` is unknown, and which of `known` may have been meant."""
    names = sorted(known)
    nearest = get_close_matches(name.lower().replace("-", "_"), names, n=1, cutoff=0.6)
    return f"unknown field; did you mean {nearest[0]}?" if nearest else f"unknown field; known are {', '.join(names)}"


def shown(value: JsonValue, path: FieldPath) -> str:
    """`value` as it is written, shortened; what may be a secret is shown as stars."""
    text = json.dumps(visible(value, path), ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def visible(value: JsonValue, path: FieldPath) -> JsonValue:
    """`value` with stars in place of everything whose name, here or inside, is one that secrets have."""
    if value is not None and any(isinstance(part, str) and _SECRET.search(part) for part in path):
        return "***"
    if isinstance(value, dict):
        return {key: visible(item, (key,)) for key, item in value.items()}
    return [visible(item, ()) for item in value] if isinstance(value, list) else value


def known_fields(loc: FieldPath) -> list[str]:
    """The fields of the section at pydantic's location `loc`, which names the member of a union after its field."""
    sections: list[type[Section]] = [TaskDocument]
    for part in loc:
        annotations = [
            field.annotation for each in sections for name, field in each.model_fields.items() if name == part
        ]
        narrower = [each for annotation in annotations for each in _sections_in(annotation)]
        sections = narrower or [each for each in sections if _tag(each) == part] or sections
    return [name for section in sections for name in section.model_fields]


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections_in(argument)


def _tag(section: type[Section]) -> str:
    fields: Mapping[str, Any] = section.model_fields
    return next((str(fields[name].default) for name in ("mode", "type") if name in fields), "values")
