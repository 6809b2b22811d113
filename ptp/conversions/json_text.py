"""Whether a text is JSON by RFC 8259, in Python: stricter than `json.loads`, and without its limits."""

from __future__ import annotations

import functools
import json
import re

from ptp.conversions import declarations as words
from ptp.conversions.declarations import MAX_JSON_DEPTH


def why_not_json(text: str) -> str:
    """The reason why `text` is not JSON that SQLite can use; empty when it is."""
    return _not_json(text) if len(text) > 200 else _not_json_cached(text)


def _not_json(text: str) -> str:
    if "\0" in text:
        return words.NOT_JSON
    deep = text.count("[") + text.count("{") > _SAFE_DEPTH
    if deep and _depth(text) > MAX_JSON_DEPTH:
        return words.TOO_DEEP
    try:
        if deep:
            text = _folded(text)
        _DECODER.decode(text)
    except (ValueError, RecursionError):  # whatever is JSON is shallow once it is folded
        return words.NOT_JSON
    return ""


_not_json_cached = functools.lru_cache(maxsize=65_536)(_not_json)

_SAFE_DEPTH = 200  # Python's parser recurses; deeper documents are folded from the inside first
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ESCAPED = re.compile(r'\\[\\"]')
_QUOTED = re.compile(r'"[^"]*(?:"|\Z)')
_BRACKET = re.compile(r"[][{}]")
_INNERMOST = re.compile(r"\[[^\[\]{}]*\]|\{[^\[\]{}]*\}")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# Numbers stay texts: their value does not matter here, and Python limits the digits of an int.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=str, parse_int=str)


def _depth(text: str) -> int:
    """How deep brackets nest outside strings, in JSON or in what is none."""
    depth = deepest = 0
    for mark in _BRACKET.findall(_QUOTED.sub("", _ESCAPED.sub("", text))):
        depth += 1 if mark in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _folded(text: str) -> str:
    """The document with every container, once checked, replaced by null from the inside out.

    Not by a number, which would make one with what stands beside it: `[1[]]` is not JSON.
    """

    def check(part: re.Match[str]) -> str:
        _DECODER.decode(part.group())
        return '""' if part.group().startswith('"') else "null"

    folded = _STRING.sub(check, text)
    while (smaller := _INNERMOST.sub(check, folded)) != folded:
        folded = smaller
    return folded
