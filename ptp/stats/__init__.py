"""Statistics of latency verdicts: from raw samples only, with bounds that assume no shape of the distribution."""

from ptp.stats.blocks import block_length, effective_n, quantile_bounds, sample_bounds
from ptp.stats.changes import change_points
from ptp.stats.families import holm
from ptp.stats.looks import Look, decide_at, plan_looks, still_needed
from ptp.stats.pairs import Ratio, equivalence, ratio_of, sign_test
from ptp.stats.quantiles import (
    Bounds,
    Decision,
    bounds,
    decide,
    decide_by,
    lower_rank,
    outliers,
    percentile,
    samples_needed,
    upper_rank,
)
from ptp.stats.rates import decide_rate, rate_bounds
from ptp.stats.trends import Exponent, Trend, exponent, is_steady, trend

__all__ = [
    "Bounds",
    "Decision",
    "Exponent",
    "Look",
    "Ratio",
    "Trend",
    "block_length",
    "bounds",
    "change_points",
    "decide",
    "decide_at",
    "decide_by",
    "decide_rate",
    "effective_n",
    "equivalence",
    "exponent",
    "holm",
    "is_steady",
    "lower_rank",
    "outliers",
    "percentile",
    "plan_looks",
    "quantile_bounds",
    "rate_bounds",
    "ratio_of",
    "sample_bounds",
    "samples_needed",
    "sign_test",
    "still_needed",
    "trend",
    "upper_rank",
]
