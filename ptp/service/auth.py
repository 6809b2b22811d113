"""Who asks: a token that is signed by the one key that is set, for this service, and not expired; or, in development,
a header that anybody may write.

The algorithm is fixed by the kind of the key and never taken from the token, so that a token signed with the text of a
public key, or not at all, is refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ptp.errors import UsageError
from ptp.service.problems import Problem
from ptp.settings import Settings

ADMIN = "admin"
SHORTEST_SECRET = 32
"""In bytes: as long as the digest of HS256."""

SHORTEST_RSA_BITS = 2048
LEEWAY_S = 30
"""How far two clocks may be apart."""

MOST_KNOWN = 10_000
"""So many tokens are known again without their signature being checked anew; each about 1 KB with its identity."""

_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Identity:
    """The user who asks, and the roles that the token gives."""

    user_id: int
    roles: frozenset[str] = frozenset()


class Access(Protocol):
    """A way to tell who asks."""

    def identity(self, headers: Mapping[str, str]) -> Identity:
        """The identity that the headers of a request prove; raises a Problem of status 401 where they prove none."""
        ...


@dataclass(frozen=True, slots=True)
class Key:
    """A key and the one algorithm that it is for."""

    algorithm: str
    value: Any


class Tokens:
    """Bearer tokens; `keys` by their id, where they have one."""

    def __init__(self, keys: Mapping[str | None, Key], *, issuer: str, audience: str) -> None:
        """Keep what a token is held to."""
        self._keys, self._issuer, self._audience = dict(keys), issuer, audience
        # By the digest of the whole token, so that no token is kept; the keys are those of this object, for good.
        self._known: dict[bytes, tuple[Identity, float]] = {}

    def identity(self, headers: Mapping[str, str]) -> Identity:
        """The identity of the bearer."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _refused("Send a token: Authorization: Bearer …")
        digest = sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
        found, until = self._known.get(digest, (None, 0.0))
        if found is not None and time.time() < until:
            return found
        found, until = self._checked(token.strip())
        while len(self._known) >= MOST_KNOWN:  # the one that was checked first
            self._known.pop(next(iter(self._known), b""), None)
        self._known[digest] = found, until
        return found

    def _checked(self, token: str) -> tuple[Identity, float]:
        """The identity that a token proves, and until when."""
        try:
            claims = self._claims(token)
        except jwt.ExpiredSignatureError:
            raise _refused("The token has expired.", error="invalid_token") from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise _refused("The token is not valid here.", error="invalid_token") from None
        return _identity(claims), int(claims["exp"]) + LEEWAY_S

    def _claims(self, token: str) -> dict[str, Any]:
        key = self._key(jwt.get_unverified_header(token).get("kid"))
        claims: dict[str, Any] = jwt.decode(
            token,
            key.value,
            algorithms=[key.algorithm],
            issuer=self._issuer,
            audience=self._audience,
            leeway=LEEWAY_S,
            options={"require": ["exp", "sub", "iss", "aud"], "verify_sub": False},
        )
        return claims

    def _key(self, name: object) -> Key:
        if None in self._keys:  # one key without an id is for every token
            return self._keys[None]
        if isinstance(name, str) and name in self._keys:
            return self._keys[name]
        raise jwt.InvalidKeyError("no key of this id")


class Headers:
    """In development: whoever the headers X-User-Id and X-Roles name. Then the server serves its own machine only."""

    def identity(self, headers: Mapping[str, str]) -> Identity:
        """The identity that the headers claim."""
        if "x-user-id" not in headers:
            raise _refused("Name a user: X-User-Id: 1")
        roles = [role.strip() for role in headers.get("x-roles", "").split(",")]
        return _identity({"sub": headers["x-user-id"], "roles": [role for role in roles if role]})


def access_from(settings: Settings, *, insecure_dev: bool) -> Access:
    """The access that the settings describe; raises UsageError where they set no key, more than one, or half of it."""
    given = {
        "JWT_SECRET": settings.jwt_secret,
        "JWT_PUBLIC_KEY": settings.jwt_public_key,
        "JWT_JWKS_FILE": settings.jwt_jwks_file,
    }
    named = [name for name, value in given.items() if value is not None]
    if insecure_dev:
        if named:
            raise UsageError(f"{named[0]} is set: a server with a key is not started with --insecure-dev.")
        return Headers()
    if not named:
        raise UsageError(
            f"No key for tokens is set: give one of {', '.join(given)}, or --insecure-dev on a development machine."
        )
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)} are set: tokens are checked with one of them, so set only one.")
    if settings.jwt_issuer is None or settings.jwt_audience is None:
        raise UsageError("Set JWT_ISSUER and JWT_AUDIENCE too: a token for another service would be accepted.")
    return Tokens(_keys(settings), issuer=settings.jwt_issuer, audience=settings.jwt_audience)


def _keys(settings: Settings) -> dict[str | None, Key]:
    if settings.jwt_secret is not None:
        return {None: _secret(settings.jwt_secret.get_secret_value())}
    if settings.jwt_public_key is not None:
        return {None: _public(_pem(settings.jwt_public_key), where="JWT_PUBLIC_KEY")}
    return _jwks(settings)


def _secret(text: str) -> Key:
    if len(text.encode()) < SHORTEST_SECRET:
        raise UsageError(f"JWT_SECRET is shorter than {SHORTEST_SECRET} bytes: make a longer one.")
    if "-----BEGIN" in text or text.startswith(("ssh-", "ecdsa-")):
        raise UsageError("JWT_SECRET holds a key pair's text, which others may know: set JWT_PUBLIC_KEY instead.")
    return Key("HS256", text)


def _pem(text: str) -> Any:
    try:
        return load_pem_public_key(text.replace("\\n", "\n").encode())
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(
            "JWT_PUBLIC_KEY is no public key in PEM form: it begins with -----BEGIN PUBLIC KEY-----."
        ) from None


def _public(key: Any, *, where: str) -> Key:
    if isinstance(key, RSAPublicKey):
        if key.key_size < SHORTEST_RSA_BITS:
            raise UsageError(f"{where} is an RSA key of {key.key_size} bits: it must have {SHORTEST_RSA_BITS}.")
        return Key("RS256", key)
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return Key("ES256", key)
    raise UsageError(f"{where} is neither an RSA key nor one of the curve P-256.")


def _jwks(settings: Settings) -> dict[str | None, Key]:
    path = settings.jwt_jwks_file
    assert path is not None
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["keys"]
        wanted = [entry for entry in listed if entry.get("use", "sig") == "sig"]
        named = {entry["kid"]: jwt.PyJWK(entry, "RS256" if entry["kty"] == "RSA" else "ES256") for entry in wanted}
    except OSError:
        raise UsageError(f"JWT_JWKS_FILE names {path}, which cannot be read.") from None
    except (ValueError, TypeError, KeyError, AttributeError, jwt.PyJWTError):
        raise UsageError(f"{path} is no set of public keys (JWKS) of which each has its kid.") from None
    if not named or len(named) < len(wanted) or not all(isinstance(name, str) for name in named):
        raise UsageError(f"{path} holds no key for signatures, or two of the same kid.")
    return {name: _public(key.key, where=f"The key {name} of {path}") for name, key in named.items()}


def _identity(claims: Mapping[str, Any]) -> Identity:
    subject, roles = claims.get("sub"), claims.get("roles", [])
    if isinstance(subject, str) and subject.isascii() and subject.isdigit() and len(subject) <= 19:
        subject = int(subject)
    if not isinstance(subject, int) or isinstance(subject, bool) or not 1 <= subject <= _LARGEST_ID:
        raise _refused("The token names no user of ours.", error="invalid_token")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise _refused("The token's roles are no list of names.", error="invalid_token")
    return Identity(subject, frozenset(roles))


def _refused(detail: str, *, error: str = "") -> Problem:
    return Problem(401, detail, headers={"WWW-Authenticate": f'Bearer error="{error}"' if error else "Bearer"})
