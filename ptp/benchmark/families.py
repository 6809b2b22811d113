"""Many gates at once: each errs once in twenty, all of them together more often. The note says how it stands."""

from __future__ import annotations

from collections.abc import Sequence

from ptp.benchmark.latency import Latency
from ptp.results import Finding
from ptp.stats import holm

ALPHA = 0.05


def family_note(found: Sequence[Latency]) -> Finding:
    """How many of the gates that pass would still pass if the chance that any of them errs were held at 5 % (Holm).

    A note: the verdict of each gate is its own, at 95 %. The value is the number, n that of all gates with samples.
    """
    p_values = {latency.finding.id: latency.p_value for latency in found if latency.p_value is not None}
    passing = [latency.finding.id for latency in found if latency.finding.verdict == "pass"]
    sure = holm(p_values, alpha=ALPHA)
    doubtful = tuple(name for name in passing if name not in sure)
    held = len(passing) - len(doubtful)
    return Finding(
        id="bench.family",
        claim="Gates that pass would also pass as a family",
        verdict="inconclusive" if doubtful else "pass",
        severity="note",
        value=held,
        unit="gates",
        limit=len(passing),
        n=len(p_values),
        where=doubtful,
        evidence=(
            f"Each gate errs with at most 5 %. Were it 5 % that any of the {len(p_values)} does (Holm), {held} of the "
            f"{len(passing)} that pass would still pass."
        ),
    )
