"""A server that stands in for a libSQL server or Turso Cloud in tests, where no real one can be had.

`with StandIn(path) as server:` serves the database in that file at `server.http` and `server.ws`, from a process of its
own, by libSQL's engine and the public specification of its protocols. What it forbids is in `rules`, what goes wrong on
purpose in `faults`. It is no proof of what a real server does: whatever was shown on it is called `stand-in only`.
"""

from tests.remote.standin.faults import Faults
from tests.remote.standin.process import StandIn

__all__ = ["Faults", "StandIn"]
