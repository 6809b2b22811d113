"""Values as text that a person reads: numbers, quantities, times; and text from data made safe to show."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeGuard

LONGEST = 600
"""Texts from data are shown in at most this many characters."""

# What would act on the page instead of standing on it: controls, direction marks, invisible and broken code points.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
_FILE = re.compile(r"(?:[\w-][\w.-]*/)*[\w-][\w.-]*\.[a-z]{2,5}(?:#[\w:.-]+)?", re.ASCII)


def clean(text: str, *, longest: int = LONGEST) -> str:
    """The text with every character that cannot be seen made visible, and its middle cut out where it is too long."""
    return _UNSEEN.sub(_shown, shorten(text, longest=longest))


def shorten(text: str, *, longest: int) -> str:
    """The text in at most `longest` characters: its beginning and its end, with an ellipsis between."""
    if len(text) <= longest:
        return text
    tail = (longest - 1) // 3
    return f"{text[: longest - 1 - tail]}…{text[len(text) - tail :]}"


def number(value: float, *, digits: int = 3) -> str:
    """The number with thousands separated: whole ones in full, others to `digits` significant digits at least."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == int(value) and abs(value) < 1e15:
        return f"{value:,.0f}"
    if not 1e-4 <= abs(value) < 1e15:
        return f"{value:.{digits}g}"
    return f"{value:,.{max(digits - 1 - math.floor(math.log10(abs(value))), 0)}f}"


def apart(value: float, other: float | None) -> str:
    """The number in as many digits as it takes not to be rounded onto the different number beside it."""
    text = number(value)
    if other is None or value == other or not math.isfinite(value):
        return text
    for digits in range(4, 18):
        if float(text.replace(",", "")) != other:
            break
        text = number(value, digits=digits)
    return text


def quantity(value: object, *, unit: str = "", beside: object = None) -> str:
    """The value with its unit; a dash where there is none."""
    if value is None:
        return "–"
    text = apart(value, beside if is_number(beside) else None) if is_number(value) else cell(value)
    gap = "" if unit in ("", "%") else "\N{NO-BREAK SPACE}"
    return f"{text}{gap}{unit}"


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether the value is a number, which a truth value is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def cell(value: object) -> str:
    """Any value of a table as text."""
    if value is None:
        return "–"
    if isinstance(value, bool | int | float):
        return number(value)
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def aligned(values: Sequence[float | None]) -> list[str]:
    """The numbers of one column with as many decimals each, three at most, so that their digits stand in line."""
    texts = [number(value) if value is not None else "–" for value in values]
    wanted = max((len(text.partition(".")[2].rstrip("0")) for text in texts if "e" not in text), default=0)
    places = min(wanted, 3)
    return [
        f"{value:,.{places}f}" if value is not None and _fits(value, places) else text
        for value, text in zip(values, texts, strict=True)
    ]


def _fits(value: float, places: int) -> bool:
    return math.isfinite(value) and abs(value) < 1e15 and (value == 0 or round(value, places) != 0)


def duration(seconds: float) -> str:
    """A span of time as a person says it."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}\N{NO-BREAK SPACE}ms"
    if seconds < 60:
        return f"{seconds:.1f}\N{NO-BREAK SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}\N{NO-BREAK SPACE}min {rest:02d}\N{NO-BREAK SPACE}s"
    return f"{minutes // 60:,}\N{NO-BREAK SPACE}h {minutes % 60:02d}\N{NO-BREAK SPACE}min"


def moment(text: str) -> str:
    """A time in ISO 8601 as a person reads it; any other text as it stands."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    if found.tzinfo is None:
        return f"{found:%Y-%m-%d %H:%M:%S}"
    return f"{found.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def plural(count: int, noun: str) -> str:
    """The count with its noun, in the plural where there are more or fewer than one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def anchor(text: str) -> str:
    """The text as the name of a place on the page."""
    return re.sub(r"[^A-Za-z0-9_.:/-]+", "-", shorten(text, longest=120))


def as_file(text: str) -> str | None:
    """The text when it names a file of the run folder, else None."""
    return text if len(text) < 200 and ".." not in text and _FILE.fullmatch(text) else None


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return "\N{REPLACEMENT CHARACTER}" if 0xD800 <= code <= 0xDFFF else f"⟨U+{code:04X}⟩"
