"""The work that PingToPass does: demo sources, benchmark cases and their limits."""
