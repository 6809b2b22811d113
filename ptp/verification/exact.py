"""Equality that is exact in storage class and bits: 1, 1.0 and '1' differ, and so do 0.0 and -0.0."""

from __future__ import annotations

import marshal
import math
from collections.abc import Sequence

from ptp.conversions import Value

_MARSHAL = 2  # the newest version that writes equal values alike, whoever else holds them


def same(a: Value, b: Value) -> bool:
    """Whether two values are one and the same to SQLite."""
    if type(a) is not type(b) or a != b:
        return False
    return not isinstance(a, float) or math.copysign(1.0, a) == math.copysign(1.0, b)  # type: ignore[arg-type]


def differing(expected: Sequence[Value], seen: Sequence[Value]) -> list[int]:
    """The positions at which two columns of equal length differ; a few passes in C where they do not."""
    if marshal.dumps(tuple(expected), _MARSHAL) == marshal.dumps(tuple(seen), _MARSHAL):  # by class and bits
        return []
    return [i for i, (a, b) in enumerate(zip(expected, seen, strict=True)) if not same(a, b)]


def key_text(key: Sequence[Value]) -> str:
    """A key as the quarantine writes it: SQL literals joined by commas."""
    return ",".join(_literal(part) for part in key)


def _literal(value: Value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex().upper()}'"
    if isinstance(value, str):
        if "\0" in value:
            return f"CAST(X'{value.encode('utf-8', 'surrogateescape').hex().upper()}' AS TEXT)"
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def printable(text: str) -> str:
    """A text with the bytes that are not UTF-8 written as \\xNN, so that it can be printed and written to JSON."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def shown(value: Value, *, personal: bool = False) -> str:
    """A value for a person's eyes: with its class, shortened, and masked where the schema says personal."""
    if value is None:
        return "NULL"
    name = {int: "integer", float: "real", str: "text", bytes: "blob"}[type(value)]
    if personal:
        size = f" of {len(value)}" if isinstance(value, str | bytes) else ""
        return f"{name}{size} (personal, masked)"
    text = printable(_literal(value))
    return f"{name} {text if len(text) <= 60 else text[:40] + '…' + text[-15:]}"
