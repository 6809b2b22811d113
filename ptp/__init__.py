"""ptp: migrate the PingToPass exam database, prove that nothing was lost, measure it, report the evidence."""

__version__ = "0.1.0"
