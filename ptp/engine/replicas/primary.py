"""Reading from the primary itself by SQL, to compare a replica with it: `POST /v2/pipeline` of the Hrana protocol.

The sync server of the package `turso` and Turso Cloud both speak it. Nothing that writes is ever sent.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from typing import Any, TypeAlias

from ptp.engine.replicas.statements import check_read_only
from ptp.engine.replicas.transport import Remote
from ptp.engine.replicas.waiting import RemoteRefused, with_retries

Value: TypeAlias = int | float | str | bytes | None
Row: TypeAlias = tuple[Value, ...]


def read_primary(remote: Remote, sql: str, values: Sequence[int | str] = ()) -> list[Row]:
    """All rows of one statement that reads, tried again where the network fails.

    Raises UsageError for a statement that writes, Unreachable, and RemoteRefused with the server's words.
    """
    check_read_only(sql)
    statement = {"sql": sql, "args": [_sent(v) for v in values], "want_rows": True}
    body = json.dumps({"requests": [{"type": "execute", "stmt": statement}]}).encode()

    def ask() -> dict[str, Any]:
        until = time.monotonic() + remote.patience.attempt_s
        response = remote.post("/v2/pipeline", headers={"Content-Type": "application/json"}, body=body)
        answer: dict[str, Any] = json.loads(b"".join(remote.chunks(response, until=until)))
        return answer

    try:
        (first, *_), _attempts = with_retries(lambda: ask()["results"], remote.patience)
        if first["type"] != "ok":
            raise RemoteRefused(f"{remote.url} did not run a statement: {first['error']['message']}.")
        return [tuple(_taken(v) for v in row) for row in first["response"]["result"]["rows"]]
    except (KeyError, ValueError, TypeError) as problem:
        raise RemoteRefused(f"{remote.url} gave an answer that cannot be read ({problem}).") from None


def _sent(value: int | str) -> dict[str, str]:
    return {"type": "integer" if isinstance(value, int) else "text", "value": str(value)}


def _taken(value: dict[str, Any]) -> Value:
    kind = value["type"]
    if kind == "null":
        return None
    if kind == "integer":
        return int(value["value"])
    if kind == "float":
        return float(value["value"])
    if kind == "blob":
        coded = value["base64"]
        return base64.b64decode(coded + "=" * (-len(coded) % 4))
    return str(value["value"])
