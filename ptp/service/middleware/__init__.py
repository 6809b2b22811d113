"""What stands around every request, a file each: audit, timing, errors, limits; in this order from outside in."""

from ptp.service.middleware.audit import Audit
from ptp.service.middleware.errors import Errors
from ptp.service.middleware.limits import Limits
from ptp.service.middleware.timing import Timing

__all__ = ["Audit", "Errors", "Limits", "Timing"]
