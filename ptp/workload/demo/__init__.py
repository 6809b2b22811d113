"""Demo sources: a database as the platform would have left it, in either shape, the same for the same seed."""

from __future__ import annotations

from ptp.workload.demo.command import DemoSummary, write_demo
from ptp.workload.demo.sizes import DEMO_NOW, DEMO_START, SIZES, Shape, Size, SizeName

__all__ = ["DEMO_NOW", "DEMO_START", "SIZES", "DemoSummary", "Shape", "Size", "SizeName", "write_demo"]
