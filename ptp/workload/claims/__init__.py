"""What was claimed of each operation, and the operation both ways: in plain SQL as it was, and as ptp does it."""

from ptp.workload.claims.lines import BY_QUERY, CLAIMS, Claim
from ptp.workload.claims.operations import Operation, Sides, outreach_operations, study_operations
from ptp.workload.claims.sources import write_outreach_source, write_study_source
from ptp.workload.claims.timing import Both, Budget, measure_both

__all__ = [
    "BY_QUERY",
    "CLAIMS",
    "Both",
    "Budget",
    "Claim",
    "Operation",
    "Sides",
    "measure_both",
    "outreach_operations",
    "study_operations",
    "write_outreach_source",
    "write_study_source",
]
