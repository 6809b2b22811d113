"""Statistics of latency verdicts: from raw samples only, with bounds that assume no shape of the distribution."""

from ptp.stats.quantiles import (
    Bounds,
    Decision,
    bounds,
    decide,
    lower_rank,
    percentile,
    samples_needed,
    upper_rank,
)

__all__ = [
    "Bounds",
    "Decision",
    "bounds",
    "decide",
    "lower_rank",
    "percentile",
    "samples_needed",
    "upper_rank",
]
