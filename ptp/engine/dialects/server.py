"""A server as all protocols see it: its address, the token, the timeouts, and a sentence for each way to fail."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from ptp.engine.addresses import Address
from ptp.engine.problems import Unreached, refusal
from ptp.errors import UsageError
from ptp.settings import Settings

_TOLD = 200  # characters of what a server says
_NO_TLS = ("wrong_version_number", "wrong version number", "record layer", "packet length too long")
_NO_HTTP = ("badstatusline", "bad status line", "invalidheader", "invalid http", "expected http", "bad http")
_TLS_ONLY = ("https port", "https server")


@dataclass(frozen=True, slots=True)
class Server:
    """A server. Times are in seconds: to connect, and of silence before an answer."""

    shown: str
    origin: str
    token: SecretStr | None
    connect_s: float
    remote_s: float

    @classmethod
    def of(cls, address: Address, *, token: SecretStr | None, settings: Settings) -> Server:
        """The server at an address."""
        seconds = (settings.connect_timeout_ms / 1000, settings.remote_timeout_ms / 1000)
        return cls(address.shown, address.url, token, *seconds)

    def masked(self, text: str) -> str:
        """A text of somebody else's, short, and without the token, should it be there."""
        secret = self.token.get_secret_value() if self.token else ""
        return " ".join((text.replace(secret, "***") if secret else text).split())[:_TOLD]

    def not_connected(self, text: str) -> Exception:
        """The error where there is no connection, by what the system says of it."""
        lower = text.casefold()
        if any(words in lower for words in _NO_TLS):
            plain = self.origin.replace("https://", "http://").replace("wss://", "ws://")
            return UsageError(f"{self.shown} does not speak TLS: write {plain} for a server without it.")
        if "certificate" in lower:
            return UsageError(f"{self.shown} shows no certificate that can be trusted here: {self.masked(text)}.")
        return Unreached(f"{self.shown} cannot be reached: is the address right, and does the server run?")

    def broken(self, text: str) -> Exception:
        """The error where an answer was none, or not whole."""
        if any(words in text.casefold() for words in _NO_HTTP):
            secure = self.origin.replace("http://", "https://").replace("ws://", "wss://")
            return UsageError(f"{self.shown} does not answer in HTTP: write {secure} for a server with TLS.")
        return Unreached(f"{self.shown} broke off before its answer was whole.", in_doubt=True)

    def late(self) -> Exception:
        """The error where there was no answer in time."""
        return Unreached(f"{self.shown} gave no answer in {self.remote_s:g} s.", in_doubt=True)

    def refused(self, status: int, text: str) -> Exception:
        """The error for an answer that is not 200."""
        if any(words in text.casefold() for words in _TLS_ONLY):
            return UsageError(f"{self.shown} speaks TLS: write {self.origin.replace('http://', 'https://')}.")
        return refusal(status, shown=self.shown, text=self.masked(text))

    def expired(self) -> str:
        """The sentence for a transaction that the server has ended."""
        return (
            f"{self.shown} has ended the transaction (stream expired): nothing of it was kept. Run it again, whole, in "
            "less than the server's limit."
        )
