"""Digests of ranges of keys, computed by the database itself: what tells two copies apart without moving their rows.

SQLite has no hash function that every server has, so the digest is arithmetic in SQL, with weights drawn anew for each
comparison (multilinear universal hashing, in two lanes): a value is cut into pieces of
seven bytes, its storage class counts, a row is a weighted sum of its values, put through a cubic so that what moves
from one row to another does not cancel out, and a range is the sum of its rows. The lanes have a prime each. As the
weights are not known when a difference comes about, a difference is missed by one lane with a chance of a few in 10^9,
by both of a few in 10^17; what differs by a multiple of one prime is left to the other lane alone.

Both sides must use the same weights: the text of the statement is the same on both, but for how seven bytes become a
number, which each engine does as it can.
"""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ptp.engine.inventory import Table
from ptp.engine.sql import quoted

Run: TypeAlias = Callable[[str, Sequence[Any]], Sequence[tuple[Any, ...]]]
"""Runs one statement with values for `?` and gives all its rows."""
Key: TypeAlias = tuple[Any, ...]
Decoder: TypeAlias = Literal["json", "function", "digits"]

RANGE = 8_192
"""Rows of a range that is asked for at once."""
FINEST = 256
"""Rows of a range that differs and is not cut further."""

_PRIMES = (2**31 - 1, 2**31 - 19)  # the two largest below 2^31: of each two products fit into 63 bits
_MASK = 2**31 - 1
_PIECE = 7  # bytes; with the digit before them they fit into 63 bits
_FEW, _MANY = 4, 12  # pieces that are added up at once, without recursion and in a turn of it
_FUNCTION = "ptp_piece"
_STRICT = re.compile(r"\)[\s\w,]*\bSTRICT\b[\s\w,]*$", re.IGNORECASE)
_DIGITS = "'0123456789ABCDEF'"
_BITS = "1152921504606846976.0"  # 2^60, by which a number is multiplied exactly


@dataclass(frozen=True, slots=True)
class Weights:
    """The random weights of one comparison: both sides need the same, and the next comparison others."""

    values: tuple[int, ...]

    def at(self, place: int) -> int:
        """The weight at a place, which begins anew after the last."""
        return self.values[place % len(self.values)]


@dataclass(frozen=True, slots=True)
class Range:
    """The rows after the key `after`, up to the key `upto` and with it; None is open."""

    after: Key | None
    upto: Key | None


@dataclass(frozen=True, slots=True)
class Digest:
    """How many rows a range has, and both lanes."""

    rows: int
    lanes: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two databases that are compared: how it runs a statement, and how it makes seven bytes a number."""

    run: Run
    decoder: Decoder


def draw_weights(rng: random.Random | None = None) -> Weights:
    """Weights from the system's own randomness, or from a seeded generator in a test."""
    source = rng or random.SystemRandom()
    return Weights(tuple(source.randrange(1, min(_PRIMES)) for _ in range(257)))


def decoder_of(run: Run) -> Decoder:
    """How this database makes seven bytes a number: by its JSON5, else digit by digit, thirty times slower."""
    try:
        return "json" if run("SELECT '0x1F' ->> '$'", ()) == [(31,)] else "digits"
    except Exception:  # every driver has its own class of error for what an older SQLite does not know
        return "digits"


def local_side(db: sqlite3.Connection) -> Side:
    """A side that is a file open by sqlite3, which gets a function for what its SQLite may be too old for."""
    db.create_function(_FUNCTION, 2, _piece, deterministic=True)
    return Side(lambda sql, values: db.execute(sql, values).fetchall(), "function")


def remote_side(run: Run) -> Side:
    """A side that is asked over a network."""
    return Side(run, decoder_of(run))


def digest(side: Side, table: Table, part: Range, *, weights: Weights, columns: Sequence[str] = ()) -> Digest:
    """The digest of the rows of a range over these columns, all that are stored if none are named."""
    sql = _statement(table, part, weights=weights, decoder=side.decoder, columns=columns or table.stored_columns)
    rows, first, second = side.run(sql, (*(part.after or ()), *(part.upto or ())))[0]
    return Digest(rows, (first, second))


def ranges(side: Side, table: Table, *, within: Range | None = None, size: int = RANGE) -> Iterator[Range]:
    """Ranges of `size` rows of this side that together hold every key there can be, `within` a range or in all."""
    last, upto = (within.after, within.upto) if within else (None, None)
    keys = ", ".join(map(quoted, table.key))
    while True:
        where = range_condition(table, Range(last, upto))
        values = (*(last or ()), *(upto or ()), size - 1)
        found = side.run(f"SELECT {keys} FROM {quoted(table.name)}{where} ORDER BY {keys} LIMIT 1 OFFSET ?", values)
        if not found:
            break
        yield Range(last, found[0])
        last = tuple(found[0])
    yield Range(last, upto)


def differing(one: Side, other: Side, table: Table, *, weights: Weights | None = None) -> Iterator[Range]:
    """The ranges of keys in which two copies of a table differ, each with few rows of `one`; none if they are alike.

    Ranges come from `one`, which should be the nearer of the two. What `other` has beyond is in the range beside it.
    """
    drawn = weights or draw_weights()
    for part in ranges(one, table):
        yield from _differing(one, other, table, part, drawn)


def _differing(one: Side, other: Side, table: Table, part: Range, weights: Weights) -> Iterator[Range]:
    mine = digest(one, table, part, weights=weights)
    if mine == digest(other, table, part, weights=weights):
        return
    if mine.rows <= FINEST:
        yield part
        return
    for smaller in ranges(one, table, within=part, size=max(FINEST, mine.rows // 8)):
        yield from _differing(one, other, table, smaller, weights)


def range_condition(table: Table, part: Range) -> str:
    """` WHERE …` for the rows of a range, with places for the values of its keys; empty for all rows."""
    keys = ", ".join(map(quoted, table.key))
    places = ", ".join("?" for _ in table.key)
    bounds = [f"({keys}) {sign} ({places})" for sign, key in ((">", part.after), ("<=", part.upto)) if key is not None]
    return f" WHERE {' AND '.join(bounds)}" if bounds else ""


def _statement(table: Table, part: Range, *, weights: Weights, decoder: Decoder, columns: Sequence[str]) -> str:
    """Three queries in each other: bytes of every value, hash of every value, sum of every row; and the range's sum.

    The limits keep SQLite from making one query of them, which would compute what is named twice anew each time.
    """
    names = dict.fromkeys((*table.key, *columns))
    width = len(names)
    whole = _whole_columns(table)
    raw = ", ".join(
        f"{quoted(n)} AS x{at}, {'NULL' if n in whole else _blob(quoted(n))} AS b{at}" for at, n in enumerate(names)
    )
    values = ", ".join(
        f"{_whole(at, weights) if n in whole else _value(at, weights, decoder)} AS v{at}" for at, n in enumerate(names)
    )
    rows = ", ".join(f"{_row(width, lane, weights)} AS r{lane}" for lane in (0, 1))
    sums = ", ".join(f"coalesce(sum({_mixed(f'r{lane}', lane, weights)}), 0)" for lane in (0, 1))
    found = f"SELECT {raw} FROM {quoted(table.name)}{range_condition(table, part)} LIMIT -1"
    return f"SELECT count(*), {sums} FROM (SELECT {rows} FROM (SELECT {values} FROM ({found}) LIMIT -1) LIMIT -1)"


def _row(width: int, lane: int, weights: Weights) -> str:
    """A row's sum in one lane, of the values' hashes in it."""
    prime = _PRIMES[lane]
    terms = (f"((v{at} >> {31 * lane}) & {_MASK}) * {weights.at(64 + 2 * at + lane)} % {prime}" for at in range(width))
    return f"({' + '.join(terms)}) % {prime}"


def _mixed(row: str, lane: int, weights: Weights) -> str:
    """A cubic of a row's sum, that rows which change together do not cancel out."""
    a, b, prime = weights.at(32 + lane), weights.at(34 + lane), _PRIMES[lane]
    square = f"(({row} + {a}) % {prime} * (({row} + {a}) % {prime}) % {prime})"
    return f"({square} * (({row} + {b}) % {prime}) % {prime})"


def _blob(name: str) -> str:
    """The bytes of a text, a blob or a number with a fraction; NULL for a whole number."""
    return (
        f"CASE typeof({name}) WHEN 'real' THEN CAST({_exact(name)} AS BLOB) WHEN 'integer' THEN NULL "
        f"ELSE CAST({name} AS BLOB) END"
    )


def _exact(real: str) -> str:
    """A text that tells any two numbers apart: its whole part, and two times 60 bits of its fraction.

    Versions of SQLite write the same number in different digits, so that digits serve only where this does not reach:
    there two sides of different versions may seem to differ, and their rows are then compared one by one.
    """
    whole = f"CAST({real} AS INTEGER)"
    first = f"(({real} - {whole}) * {_BITS})"
    second = f"(({first} - CAST({first} AS INTEGER)) * {_BITS})"
    written = " || '.' || ".join((whole, f"CAST({first} AS INTEGER)", f"CAST({second} AS INTEGER)"))
    reaches = f"abs({real}) < 4e18 AND {second} = CAST({second} AS INTEGER)"
    return f"CASE WHEN {reaches} THEN {written} ELSE printf('%!.17g', {real}) END"


def _whole_columns(table: Table) -> frozenset[str]:
    """The columns that can hold nothing but whole numbers and NULL, whose statement is so much shorter."""
    is_strict = bool(_STRICT.search(table.sql))
    typed = {c.name for c in table.columns if is_strict and c.declared_type.upper() in ("INT", "INTEGER")}
    return frozenset(typed | ({table.rowid_alias} if table.rowid_alias else set()))


def _value(at: int, weights: Weights, decoder: Decoder) -> str:
    """Both lanes of a value's hash in one whole number of 62 bits."""
    tag = f"unicode(typeof(x{at}))"  # t, b or r
    of_bytes = _bytes(f"b{at}", tag, weights, decoder)
    return f"CASE WHEN b{at} IS NOT NULL THEN {of_bytes} ELSE {_whole(at, weights)} END"


def _whole(at: int, weights: Weights) -> str:
    """The same of a whole number, or of NULL."""
    halves = ((f"((x{at} >> 32) + 2147483648)", 36), (f"(x{at} & 4294967295)", 38))
    lanes = [
        " + ".join(f"{half} % {prime} * {weights.at(first + lane)} % {prime}" for half, first in halves)
        for lane, prime in enumerate(_PRIMES)
    ]
    return f"CASE WHEN x{at} IS NULL THEN 1 ELSE {_packed(lanes)} END"


def _packed(lanes: Sequence[str]) -> str:
    return f"((({lanes[0]}) % {_PRIMES[0]}) | ((({lanes[1]}) % {_PRIMES[1]}) << 31))"  # | and << bind alike in SQLite


def _bytes(blob: str, tag: str, weights: Weights, decoder: Decoder) -> str:
    """Both lanes of the hash of bytes: few pieces by a weight each, more as a polynomial of a random number."""
    short = [
        f"{s} + {tag} * {weights.at(40 + lane)}" for lane, s in enumerate(_pieces(blob, "1", _FEW, weights, decoder))
    ]
    steps = ", ".join(
        f"({name} * {weights.at(42 + lane)} % {_PRIMES[lane]} + {piece}) % {_PRIMES[lane]}"
        for lane, (name, piece) in enumerate(zip("ab", _pieces(blob, "i", _MANY, weights, decoder), strict=True))
    )
    # Each turn of a recursion is billed as rows read: so it takes many pieces.
    longer = (
        f"(WITH RECURSIVE p(i, a, b) AS (SELECT 1, {tag}, {tag} UNION ALL "
        f"SELECT i + {_PIECE * _MANY}, {steps} FROM p WHERE i <= length({blob})) "
        f"SELECT a | (b << 31) FROM p WHERE i > length({blob}))"
    )
    return f"CASE WHEN length({blob}) <= {_PIECE * _FEW} THEN {_packed(short)} ELSE {longer} END"


def _pieces(blob: str, start: str, count: int, weights: Weights, decoder: Decoder) -> tuple[str, ...]:
    """The weighted sum of so many pieces from a place on, in each lane."""
    numbers = [_number(blob, f"{start} + {_PIECE * at}" if at else start, decoder) for at in range(count)]
    return tuple(
        " + ".join(f"{n} % {prime} * {weights.at(2 * at + lane)} % {prime}" for at, n in enumerate(numbers))
        for lane, prime in enumerate(_PRIMES)
    )


def _number(blob: str, at: str, decoder: Decoder) -> str:
    """Seven bytes from a place on as a whole number, with a digit 1 before them, which tells how many they are."""
    if decoder == "function":
        return f"{_FUNCTION}({blob}, {at})"
    digits = f"hex(substr({blob}, {at}, {_PIECE}))"
    if decoder == "json":
        return f"(('0x1' || {digits}) ->> '$')"
    shifted = " + ".join(
        f"((instr({_DIGITS}, substr({digits}, {n}, 1)) - 1) << (4 * max(0, length({digits}) - {n})))"
        for n in range(1, 2 * _PIECE + 1)
    )
    return f"((1 << (4 * length({digits}))) + {shifted})"


def _piece(blob: bytes, at: int) -> int:
    return int("1" + blob[at - 1 : at - 1 + _PIECE].hex(), 16)
