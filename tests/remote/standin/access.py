"""Who may: one token, good from the start of the server for ever or for some seconds."""

from __future__ import annotations

import hmac
import time


class Denied(Exception):
    """No, with the reason and its code."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.message, self.code = message, code


class Access:
    """Checks tokens."""

    def __init__(self, token: str | None, seconds: float | None) -> None:
        self._token = token
        self._until = None if seconds is None else time.monotonic() + seconds

    def check(self, header: str | None) -> None:
        """Of the header `Authorization`; raises Denied."""
        if self._token is None:
            return
        if header is None:
            raise Denied(
                "The `Authorization` HTTP header is required but was not specified", "AUTH_HTTP_HEADER_MISSING"
            )
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise Denied(
                "The authentication scheme in the `Authorization` HTTP header is not supported",
                "AUTH_HTTP_HEADER_UNSUPPORTED_SCHEME",
            )
        self.check_token(token)

    def check_token(self, token: str | None) -> None:
        """Of a hello message; raises Denied."""
        if self._token is None:
            return
        if token is None:
            raise Denied("Authentication is required but no JWT was specified", "AUTH_JWT_MISSING")
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            raise Denied("The JWT is invalid", "AUTH_JWT_INVALID")
        self.check_time()

    def check_time(self) -> None:
        """Whether the token is still good; raises Denied."""
        if self._until is not None and time.monotonic() > self._until:
            raise Denied("The JWT has expired", "AUTH_JWT_EXPIRED")
