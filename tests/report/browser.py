"""A headless Chromium, driven over its DevTools protocol: pages opened from files, and what they did."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import websocket

ROOT = Path(__file__).parents[2]
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)
KEYS = {"Tab": 9, "Enter": 13}


def chromium() -> str | None:
    """The program, where there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def axe() -> Path | None:
    """axe-core's script: under PTP_NODE_MODULES, or among the modules of the tests of the remote engine."""
    folders = [Path(os.environ["PTP_NODE_MODULES"])] if os.environ.get("PTP_NODE_MODULES") else []
    folders.append(ROOT / "tests" / "remote" / "js" / "node_modules")
    return next((f for folder in folders if (f := folder / "axe-core" / "axe.min.js").is_file()), None)


class Browser:
    """One tab; `requests` are the addresses it asked for, `errors` what it said on its console or threw."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=60)
        self._last = 0
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._loaded = False
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and wait for its answer; what the tab tells meanwhile is noted."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            told = json.loads(self._socket.recv())
            if told.get("id") == self._last:
                assert "error" not in told, f"{method}: {told['error']}"
                answer: dict[str, Any] = told["result"]
                return answer
            self._note(told)

    def _note(self, told: dict[str, Any]) -> None:
        given = told.get("params", {})
        match told.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(given["request"]["url"])
            case "Runtime.consoleAPICalled" if given["type"] in ("error", "warning", "assert"):
                self.errors.append(str(given["args"]))
            case "Runtime.exceptionThrown":
                self.errors.append(str(given["exceptionDetails"]))
            case "Log.entryAdded" if given["entry"]["level"] in ("error", "warning"):
                self.errors.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")
            case "Page.loadEventFired":
                self._loaded = True

    def open(self, page: Path, *, place: str = "") -> None:
        """Open a file and wait until it is loaded; what was noted before is forgotten."""
        self.requests, self.errors, self._loaded = [], [], False
        self.send("Page.navigate", url="about:blank")
        self._wait()
        self.requests, self.errors, self._loaded = [], [], False
        self.send("Page.navigate", url=page.absolute().as_uri() + place)
        self._wait()

    def _wait(self) -> None:
        while not self._loaded:
            self._note(json.loads(self._socket.recv()))

    def ask(self, script: str) -> Any:
        """The value of an expression, waited for where it is a promise; raises AssertionError for what it throws."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, script: str, *, seconds: float = 20.0) -> None:
        """Ask until the answer is true, also over a change of pages; raises AssertionError when it never is."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with suppress(AssertionError):  # between two pages there is nobody to ask
                if self.ask(script):
                    return
            time.sleep(0.05)
        raise AssertionError(f"within {seconds:g} s it was never true that {script}")

    def size(self, width: int, height: int) -> None:
        """The size of the window, in pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def theme(self, name: str) -> None:
        """What the system prefers: light or dark."""
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def press(self, key: str) -> None:
        """Press and release one of `KEYS`."""
        told = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **told, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **told)

    def picture(self, *, whole: bool = False) -> bytes:
        """What is seen, as PNG."""
        found = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(found["data"])

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


@contextmanager
def opened() -> Iterator[Browser]:
    """A browser of its own, ended with its folder when the block ends."""
    program = chromium()
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="ptp-browser-", ignore_cleanup_errors=True) as folder:
        command = [program, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            browser = Browser(_address(Path(folder), process))
            yield browser
            browser.close()
        finally:
            process.terminate()
            process.wait(timeout=20)


def _address(folder: Path, process: subprocess.Popen[bytes]) -> str:
    """Where the first tab listens, once the browser has written down its port."""
    from urllib.request import urlopen

    noted = folder / "DevToolsActivePort"
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        lines = noted.read_text().splitlines() if noted.is_file() else []
        if len(lines) > 1:
            with urlopen(f"http://127.0.0.1:{lines[0]}/json/list", timeout=20) as answer:
                tabs = json.load(answer)
            pages = [tab for tab in tabs if tab["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.05)
    raise AssertionError(f"{chromium()} did not open its DevTools port within 60 s")
