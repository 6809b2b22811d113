"""What the reader sees of the claims: findings, samples and tables, from what was measured; pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ptp.results import Finding, Measurement, Verdict
from ptp.stats import Ratio, exponent, percentile
from ptp.workload.claims import BY_QUERY, CLAIMS, Both, Claim

CLAIMS_TABLE, SCALING_TABLE = "Claims", "Scaling"
NOT_MEASURED = "not measured here"

_Row: TypeAlias = dict[str, Any]
_MEASURED = (
    *("plain_p50_ms", "ptp_p50_ms", "gain", "gain_low", "gain_high", "n"),
    *("plain_statements", "ptp_statements", "plain_vm_steps", "ptp_vm_steps"),
)


@dataclass(frozen=True, slots=True)
class Held:
    """One pair of databases on which operations were measured both ways: what it holds, and what to know of it.

    `key` ends the ids of its findings, empty for the user's own pair. `questions` are those of its largest exam.
    `absent` is the reason for which nothing was measured on it.
    """

    key: str
    rung: str
    questions: int | None = None
    answers: int | None = None
    found: tuple[Both, ...] = ()
    note: str = ""
    absent: str = ""


def findings(held: Sequence[Held]) -> tuple[Finding, ...]:
    """The gate on the outcomes, why a pair was left out, and a note for each claimed gain beside what was measured."""
    left_out = (_left_out(one) for one in held if one.absent)
    return (
        _alike(held),
        *left_out,
        *(
            _gained(BY_QUERY[both.name], one, both, gain)
            for one in held
            for both in one.found
            if (gain := both.gain) and BY_QUERY[both.name].gain
        ),
    )


def measurements(held: Sequence[Held], environment: Mapping[str, str]) -> tuple[Measurement, ...]:
    """The raw samples of both ways in ms, pair by pair."""
    return tuple(
        Measurement(f"{_id(both.name, one)}.{side}", "ms", samples, environment)
        for one in held
        for both in one.found
        for side, samples in (("plain", both.plain_ms), ("ptp", both.ptp_ms))
        if samples
    )


def claim_rows(held: Sequence[Held]) -> list[_Row]:
    """A row for every line of the claims and every pair of databases on which it was measured, or was to be."""
    rows = []
    for claim in CLAIMS:
        measured = [(one, both) for one in held for both in one.found if both.name == claim.query]
        rows += [_row(claim, one, both) for one, both in measured]
        if not measured:
            rows.append(_empty_row(claim, NOT_MEASURED, _sentences(claim.measured_by, claim.seen_when_run)))
    return rows


def scaling_rows(held: Sequence[Held]) -> list[_Row]:
    """How time and VM steps of both ways grow with the questions of an exam, and with the answers."""
    names = dict.fromkeys(both.name for one in held if one.key for both in one.found if one.questions)
    return [row for name in names for row in _scaling_of(name, held)]


def _alike(held: Sequence[Held]) -> Finding:
    errors = [(f"{_id(b.name, one)}", b.error) for one in held for b in one.found if b.error]
    pairs = sum(len(b.plain_ms) for one in held for b in one.found)
    verdict: Verdict = "fail" if errors else "pass" if pairs else "not applicable"
    return Finding(
        id="claims.alike",
        claim="Plain SQL on the old shape and ptp's queries have the same outcomes",
        verdict=verdict,
        value=len(errors),
        unit="operations",
        limit=0,
        n=pairs,
        where=tuple(where for where, _ in errors),
        evidence=" ".join(f"{where}: {error}" for where, error in errors) or "Each pair of outcomes was compared.",
    )


def _left_out(one: Held) -> Finding:
    return Finding(
        id="claims.own",
        claim=f"The claims are held to measurement on {one.rung}",
        verdict="not applicable",
        severity="note",
        evidence=one.absent,
    )


def _gained(claim: Claim, one: Held, both: Both, gain: Ratio) -> Finding:
    claimed = claim.gain_times or 1.0
    verdict: Verdict = "pass" if gain.low >= claimed else "fail" if gain.high < claimed else "inconclusive"
    return Finding(
        id=_id(both.name, one),
        claim=f"{claim.operation} took {claim.gain.removesuffix('x')} times as long before ({one.rung})",
        verdict=verdict,
        severity="note",
        value=gain.value,
        unit="times",
        limit=claimed,
        low=_finite(gain.low),
        high=_finite(gain.high),
        n=gain.n,
        evidence=f"Claimed {claim.before} before and {claim.after} after; measured {_median(both.plain_ms):.3f} ms in "
        f"plain SQL on the old shape and {_median(both.ptp_ms):.3f} ms by ptp at head, in pairs{_trips(both)}.",
    )


def _trips(both: Both) -> str:
    """How many statements either way sends: beside a database in another place, each is a round trip."""
    if not both.plain_work or not both.ptp_work:
        return ""
    plain, ptp = (int(_median(one.statements for one in work)) for work in (both.plain_work, both.ptp_work))
    return f", with {plain} and {ptp} statements a call, each a round trip where the database is remote"


def _row(claim: Claim, one: Held, both: Both) -> _Row:
    gain = both.gain
    note = _sentences(both.absent or both.error or "", one.note, claim.seen_when_run)
    row = _empty_row(claim, one.rung, note) | {"questions": one.questions, "answers": one.answers}
    if gain:
        row |= {"plain_p50_ms": _median(both.plain_ms), "ptp_p50_ms": _median(both.ptp_ms)}
        row |= {"gain": gain.value, "gain_low": _finite(gain.low), "gain_high": _finite(gain.high), "n": gain.n}
    for side, work in (("plain", both.plain_work), ("ptp", both.ptp_work)):
        if work:
            row[f"{side}_vm_steps"] = int(_median(one.vm_steps for one in work))
            row[f"{side}_statements"] = int(_median(one.statements for one in work))
    return row


def _empty_row(claim: Claim, rung: str, note: str) -> _Row:
    """A row with what was claimed, and nothing measured."""
    return {
        "operation": claim.operation,
        "rung": rung,
        "questions": None,
        "answers": None,
        "limit_ms": claim.limit_ms,
        "claimed_before_ms": claim.before_ms,
        "claimed_after_ms": claim.after_ms,
        "claimed_gain": claim.gain_times,
        **dict.fromkeys(_MEASURED),
        "note": _sentences(_in_other_units(claim), note),
    }


def _in_other_units(claim: Claim) -> str:
    """What a line claims that is not in ms."""
    cells = (("limit", claim.limit), ("before", claim.before), ("after", claim.after))
    told = [f"{name} {cell}" for name, cell in cells if cell and not cell.endswith(" ms")]
    return f"Claimed: {', '.join(told)}" if told else ""


def _scaling_of(name: str, held: Sequence[Held]) -> Iterator[_Row]:
    ladder = [one for one in held if one.key and one.questions and one.answers]
    fewest = {"questions": min(o.answers or 0 for o in ladder), "answers": min(o.questions or 0 for o in ladder)}
    of: dict[str, Callable[[Held], int]] = {
        "questions": lambda one: one.questions or 0,
        "answers": lambda one: one.answers or 0,
    }
    for over, other in (("questions", "answers"), ("answers", "questions")):
        rungs = [(of[over](one), one) for one in ladder if of[other](one) == fewest[over]]
        measured = [(size, both) for size, one in rungs for both in one.found if both.name == name]
        if len({size for size, both in measured if both.plain_ms}) < 2:
            yield _scaling_row(name, over) | {"sizes": "one size only: profile full has more"}
            continue
        for side in ("plain", "ptp"):
            for unit in ("ms", "VM steps"):
                samples = [(size, value) for size, both in measured for value in _values(both, side, unit)]
                yield _scaling_row(name, over) | {"side": side, "unit": unit} | _exponent(samples)


def _values(both: Both, side: str, unit: str) -> Sequence[float]:
    timed, work = (both.plain_ms, both.plain_work) if side == "plain" else (both.ptp_ms, both.ptp_work)
    return timed if unit == "ms" else [one.vm_steps for one in work]


def _scaling_row(name: str, over: str) -> _Row:
    empty = dict.fromkeys(("exponent", "low", "high"))
    return {"operation": BY_QUERY[name].operation, "over": over, "side": "", "unit": "", "sizes": "", **empty}


def _exponent(samples: Sequence[tuple[int, float]]) -> _Row:
    found = exponent([size for size, _ in samples], [value for _, value in samples])
    sizes = ", ".join(f"{size:,}" for size in sorted({size for size, _ in samples}))
    return {"sizes": sizes, "exponent": found.value, "low": _finite(found.low), "high": _finite(found.high)}


def _id(name: str, one: Held) -> str:
    return f"claims.{name}.{one.key}" if one.key else f"claims.{name}"


def _median(samples: Iterable[float]) -> float:
    return percentile(sorted(samples), q=0.5)


def _sentences(*parts: str) -> str:
    return " ".join(part if part.endswith((".", "…")) else f"{part}." for part in parts if part)


def _finite(value: float) -> float | None:
    # A bound that does not exist is infinite in ptp.stats, and absent here: JSON knows no infinity.
    return value if math.isfinite(value) else None
