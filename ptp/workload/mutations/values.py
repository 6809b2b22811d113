"""Damage to single values: each change is a small function from the value that stands to the one that shall.

A change that does not fit a value gives it back as it is; the next place is tried then.
"""

from __future__ import annotations

import json
import math
import random
import sqlite3
import unicodedata
from collections.abc import Callable
from datetime import date, timedelta
from typing import TypeAlias

from ptp.conversions import Value
from ptp.engine import quoted
from ptp.workload.mutations.kinds import NotHere
from ptp.workload.mutations.tools import Place, ask, behind, places, put, shuffled

Change: TypeAlias = Callable[[Value, Place, random.Random], Value]

_LOOK_ALIKE = str.maketrans({"a": "а", "e": "е", "o": "о"})  # Latin to Cyrillic
_FILLED: dict[str, Value] = {"text": "", "json": "[]", "date": "1970-01-01", "real": 0.0}


def change_value(db: sqlite3.Connection, rng: random.Random, *, kinds: tuple[str, ...], change: Change) -> str:
    """Change one value of a column of those kinds."""
    for place in places(db, rng, kinds=kinds):
        for key, value in shuffled(ask(db, f"SELECT id, {quoted(place.column)} FROM {quoted(place.table)}"), rng):
            changed = change(value, place, rng)
            if repr(changed) != repr(value) and put(db, place, key, changed):
                return f"{place.table} {key!r}, {place.column}"
    raise NotHere("no value is of that kind")


def change_carried(db: sqlite3.Connection, rng: random.Random) -> str:
    """Change one value of a table that no shape knows."""
    key = rng.choice(ask(db, "SELECT id FROM release_notes ORDER BY id"))[0]
    column, value = rng.choice(
        (("title", "title || ' '"), ("body", "coalesce(body, '') || 'x'"), ("stars", "stars + 1"))
    )
    with behind(db):
        db.execute(f"UPDATE release_notes SET {column} = {value} WHERE id = ?", (key,))
    return f"release_notes {key}, {column}"


def change_extra(db: sqlite3.Connection, rng: random.Random) -> str:
    """Change one value of a column that the shape does not know."""
    (key,) = rng.choice(ask(db, "SELECT id FROM exams ORDER BY id"))
    with behind(db):
        db.execute("UPDATE exams SET legacy_note = ? WHERE id = ?", (rng.choice((None, "", "kept ", "Kept")), key))
    return f"exams {key}, legacy_note"


def one_byte(value: Value, place: Place, rng: random.Random) -> Value:
    """One letter becomes its neighbour."""
    spots = [i for i, c in enumerate(value) if "a" <= c < "z"] if isinstance(value, str) else []
    if not isinstance(value, str) or not spots:
        return value
    at = rng.choice(spots)
    return value[:at] + chr(ord(value[at]) + 1) + value[at + 1 :]


def other_case(value: Value, place: Place, rng: random.Random) -> Value:
    """Upper case becomes lower case, and the reverse."""
    return value.swapcase() if isinstance(value, str) else value


def space_behind(value: Value, place: Place, rng: random.Random) -> Value:
    """A space at the end."""
    return value + " " if isinstance(value, str) else value


def space_before(value: Value, place: Place, rng: random.Random) -> Value:
    """A space at the beginning."""
    return " " + value if isinstance(value, str) else value


def nul_behind(value: Value, place: Place, rng: random.Random) -> Value:
    """A NUL at the end, where most of SQLite's functions stop reading."""
    return value + "\0" if isinstance(value, str) else value


def cut_off(value: Value, place: Place, rng: random.Random) -> Value:
    """The last character is gone."""
    return value[:-1] if isinstance(value, str) else value


def not_utf8(value: Value, place: Place, rng: random.Random) -> Value:
    """A byte at the end that no UTF-8 text has."""
    return value + "\udcff" if isinstance(value, str) else value


def look_alike(value: Value, place: Place, rng: random.Random) -> Value:
    """Letters that look the same in another alphabet."""
    return value.translate(_LOOK_ALIKE) if isinstance(value, str) else value


def normal_form(value: Value, place: Place, rng: random.Random) -> Value:
    """The same characters to a reader, composed instead of decomposed or the reverse."""
    if not isinstance(value, str):
        return value
    decomposed = unicodedata.normalize("NFD", value)
    return decomposed if decomposed != value else unicodedata.normalize("NFC", value)


def empty_for_null(value: Value, place: Place, rng: random.Random) -> Value:
    """NULL becomes an empty text."""
    return "" if value is None else value


def null_for_value(value: Value, place: Place, rng: random.Random) -> Value:
    """A value becomes NULL."""
    return None


def value_for_null(value: Value, place: Place, rng: random.Random) -> Value:
    """NULL becomes the nothing of its kind: 0, an empty text or list."""
    return (place.choices or (_FILLED.get(place.conversion.kind, 0),))[0] if value is None else value


def other_sign(value: Value, place: Place, rng: random.Random) -> Value:
    """Plus becomes minus."""
    return -value if isinstance(value, int | float) else value


def one_more(value: Value, place: Place, rng: random.Random) -> Value:
    """One more: a second, where the number is a time."""
    return value + 1 if isinstance(value, int | float) else value


def hour_more(value: Value, place: Place, rng: random.Random) -> Value:
    """3,600 seconds more, as by a wrong time zone."""
    return value + 3600 if isinstance(value, int | float) else value


def in_milliseconds(value: Value, place: Place, rng: random.Random) -> Value:
    """Seconds become milliseconds."""
    return value * 1000 if isinstance(value, int) else value


def next_day(value: Value, place: Place, rng: random.Random) -> Value:
    """The day after."""
    return str(date.fromisoformat(value) + timedelta(days=1)) if isinstance(value, str) else value


def last_bit(value: Value, place: Place, rng: random.Random) -> Value:
    """The nearest other REAL."""
    return math.nextafter(value, math.inf) if isinstance(value, float) else value


def fewer_digits(value: Value, place: Place, rng: random.Random) -> Value:
    """Rounded to two digits."""
    return round(value, 2) if isinstance(value, float) else value


def as_text(value: Value, place: Place, rng: random.Random) -> Value:
    """A number as text."""
    return str(value) if isinstance(value, int | float) else value


def as_real(value: Value, place: Place, rng: random.Random) -> Value:
    """An integer as REAL."""
    return float(value) if isinstance(value, int) else value


def as_blob(value: Value, place: Place, rng: random.Random) -> Value:
    """A text as a blob of its bytes."""
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def flipped(value: Value, place: Place, rng: random.Random) -> Value:
    """0 becomes 1, and the reverse."""
    return 1 - value if isinstance(value, int) else value


def other_choice(value: Value, place: Place, rng: random.Random) -> Value:
    """Another of the texts that the column may hold."""
    return rng.choice([c for c in place.choices if c != value]) if place.choices and value is not None else value


def json_space(value: Value, place: Place, rng: random.Random) -> Value:
    """Other white space, which means nothing in JSON."""
    return value[:-1] + " " + value[-1:] if isinstance(value, str) else value


def json_order(value: Value, place: Place, rng: random.Random) -> Value:
    """The names of an object, or the members of a list, in the reverse order."""
    found = json.loads(value) if isinstance(value, str) else None
    if isinstance(found, dict):
        return json.dumps(dict(reversed(found.items()))) if len(found) > 1 else value
    if isinstance(found, list) and isinstance(value, str):
        return json.dumps(found[::-1]) if found != found[::-1] else value
    return value


def json_content(value: Value, place: Place, rng: random.Random) -> Value:
    """One member more."""
    found = json.loads(value) if isinstance(value, str) else None
    if isinstance(found, dict):
        return json.dumps({**found, "9": 9})
    return json.dumps([*found, 9]) if isinstance(found, list) else value
