"""The primary as a test reaches it: by SQL over HTTP, with a client of its own; and a writer that pushes."""

from __future__ import annotations

import base64
import json
import urllib.request
from pathlib import Path
from typing import Any

import turso.sync

from tests.replicas.server import SyncServer


def sql(server: SyncServer, *statements: str) -> list[list[tuple[Any, ...]]]:
    """The rows of each statement, run in the primary; fails for one that it refuses."""
    body = json.dumps({"requests": [{"type": "execute", "stmt": {"sql": s}} for s in statements]}).encode()
    request = urllib.request.Request(f"{server.url}/v2/pipeline", data=body, method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        results = json.load(answer)["results"]
    assert all(r["type"] == "ok" for r in results), results
    return [[tuple(_value(v) for v in row) for row in r["response"]["result"]["rows"]] for r in results]


def _value(value: dict[str, Any]) -> Any:
    match value["type"]:
        case "null":
            return None
        case "integer":
            return int(value["value"])
        case "blob":
            return base64.b64decode(value["base64"] + "==")
        case _:
            return value["value"]


class writer:  # noqa: N801
    """A file that is written to and pushed, in a `with`: the way that ptp never goes, for its hazards."""

    def __init__(self, path: Path, url: str) -> None:
        self._opened: Any = turso.sync.connect(str(path), url, isolation_level=None)

    def __enter__(self) -> writer:
        return self

    def __exit__(self, *_problem: object) -> None:
        self._opened.close()
        self._opened = None  # pyturso lets go of the file with the last that is known of the connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened, name)
