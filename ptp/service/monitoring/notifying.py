"""Telling of alerts: a line of JSON in the log, and a webhook. Neither ever holds up the service.

A webhook's URL is itself a secret with many vendors. It is never logged, and neither is the text of an error, which
may hold it; urllib3's pools log each path that they ask for, so its plain connections are used.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from pydantic import SecretStr
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from ptp.errors import UsageError

TIMEOUT_S = 3.0
WAITS_S = (0.5, 2.0, 8.0)
"""Between one try to send and the next."""
MOST_WAITING = 100
_CLOSING_S = 1.0
ALERTS = logging.getLogger("ptp.alerts")


class Notifier:
    """Logs notifications at once, and sends them from a thread of its own; of too many waiting, the newest are lost."""

    def __init__(
        self,
        *,
        webhook: SecretStr | None = None,
        lost: Callable[[], None] = lambda: None,
        waits_s: tuple[float, ...] = WAITS_S,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """Begin the thread where there is a webhook; raises UsageError for an address that is none."""
        self._url = webhook
        if webhook is not None:
            _parsed(webhook)
        self._lost, self._waits_s = lost, waits_s
        self._waiting: queue.Queue[bytes | None] = queue.Queue(maxsize=most_waiting)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send_all, name="ptp-webhook", daemon=True) if webhook else None
        if self._thread is not None:
            self._thread.start()

    def tell(self, notification: Mapping[str, Any]) -> None:
        """Log it, and have it sent; returns at once."""
        line = json.dumps({"at": int(time.time()), **notification}, ensure_ascii=False)
        ALERTS.warning("%s", line)
        if self._thread is not None:
            try:
                self._waiting.put_nowait(line.encode())
            except queue.Full:
                self._lost()

    def close(self) -> None:
        """End; what waits is sent once more, without waiting between tries."""
        self._ended.set()
        if self._thread is not None:
            with suppress(queue.Full):
                self._waiting.put_nowait(None)
            self._thread.join(_CLOSING_S)

    def _send_all(self) -> None:
        while True:
            try:
                body = self._waiting.get(timeout=_CLOSING_S)
            except queue.Empty:
                if self._ended.is_set():
                    return
                continue
            if body is None:
                return
            if not self._sent(body):
                self._lost()

    def _sent(self, body: bytes) -> bool:
        for wait_s in (*self._waits_s, None):
            problem = self._try(body)
            if problem is None:
                return True
            ALERTS.info("The webhook did not take a notification (%s).", problem)
            if wait_s is None or self._ended.wait(wait_s):
                break
        ALERTS.error("A notification was not sent: the webhook did not take it.")
        return False

    def _try(self, body: bytes) -> str | None:
        """Why it was not sent, in a word or two that hold nothing of the URL; None where it was."""
        assert self._url is not None
        secure, host, port, path = _parsed(self._url)
        kind = HTTPSConnection if secure else HTTPConnection
        connection = kind(host, port, timeout=TIMEOUT_S)
        try:
            connection.request("POST", path, body=body, headers={"Content-Type": "application/json"})
            status = connection.getresponse().status
        except (HTTPError, OSError) as problem:
            return type(problem).__name__
        finally:
            connection.close()
        return None if 200 <= status < 300 else f"status {status}"


def _parsed(webhook: SecretStr) -> tuple[bool, str, int | None, str]:
    try:
        url = parse_url(webhook.get_secret_value())
    except HTTPError:
        url = None
    if url is None or url.scheme not in ("http", "https") or not url.host:
        raise UsageError("PTP_ALERT_WEBHOOK is no web address: give https://HOST/PATH.") from None
    return url.scheme == "https", url.host.strip("[]"), url.port, url.request_uri
