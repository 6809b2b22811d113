"""A relay between a replica and its server that answers wrongly when told to: refuses, breaks off, sends elsewhere."""

from __future__ import annotations

import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Relay:
    """Passes requests on to `target`; `faults` are answers to the next ones instead: a status, or "half"."""

    def __init__(self, target: str = "") -> None:
        self.target = target
        self.faults: list[int | str] = []
        self.asked: list[tuple[str, str | None]] = []
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                relay.asked.append((self.path, self.headers.get("Authorization")))
                fault = relay.faults.pop(0) if relay.faults else None
                if isinstance(fault, int):
                    self._answer(fault, b"told not to")
                    return
                request = urllib.request.Request(relay.target + self.path, data=body, method="POST")
                with urllib.request.urlopen(request, timeout=10) as answer:
                    content = answer.read()
                self._answer(200, content, half=fault == "half")

            def _answer(self, status: int, content: bytes, *, half: bool = False) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                if status == 302:
                    self.send_header("Location", relay.target + "/elsewhere")
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if half else content)
                self.close_connection = half

            def log_message(self, *_what: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
