"""Tokens: what is accepted, and every kind that is refused; the keys that a server takes, and starting without one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from ptp.errors import UsageError
from ptp.service import auth
from ptp.service.auth import access_from
from ptp.service.problems import Problem
from ptp.settings import Settings
from tests.service.api_heads import (
    AUDIENCE,
    ISSUER,
    SECRET,
    TestClient,
    bearer,
    claims,
    client_of,
    copy_of,
    token,
    tokens,
)

RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
OWN = "/api/progress/1"
ADMIN_ONLY = ("/api/opportunities", "/api/growth", "/api/ai/costs", "/api/admin/database/performance")
OF_A_USER = ("/api/study/questions?exam_id=1", OWN, "/api/leaderboard/1", "/api/search?words=network")


def pem(key: Any) -> str:
    text: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


def unsigned(header: Mapping[str, Any], payload: Mapping[str, Any], signature: bytes = b"") -> str:
    """A token as anybody can write it, past the library that would refuse to."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    return ".".join(part(v) for v in (json.dumps(header).encode(), json.dumps(payload).encode(), signature))


def signed_by_text(text: str, **changes: Any) -> str:
    """An HS256 token whose secret is a public key's text, which PyJWT would not sign with."""
    bare = unsigned({"alg": "HS256", "typ": "JWT"}, claims(**changes)).rstrip(".")
    return (
        bare
        + "."
        + base64.urlsafe_b64encode(hmac.digest(text.encode(), bare.encode(), hashlib.sha256)).rstrip(b"=").decode()
    )


@pytest.fixture(scope="module")
def head(api_head: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of(api_head, tmp_path_factory.mktemp("auth"))


@pytest.fixture(scope="module")
def client(head: Path) -> Iterator[TestClient]:
    with client_of(head, tokens()) as made:
        yield made


@pytest.fixture(scope="module")
def rsa_client(head: Path) -> Iterator[TestClient]:
    with client_of(head, tokens(jwt_secret=None, jwt_public_key=pem(RSA))) as made:
        yield made


def status(client: TestClient, text: str, path: str = OWN) -> int:
    return client.get(path, headers=bearer(text)).status_code


def test_a_token_of_ours_is_taken(client: TestClient) -> None:
    for path in (*ADMIN_ONLY, *OF_A_USER):
        assert status(client, token(), path) == 200, path
    assert client.get(OWN, headers=bearer(token(sub="5"))).json()["user_id"] == 5
    assert client.get(OWN, headers=bearer(token(roles=None))).status_code == 200
    assert client.get(OWN, headers={"Authorization": f"bearer {token()}"}).status_code == 200
    assert status(client, token(aud=[AUDIENCE, "another"])) == 200


def test_two_clocks_may_be_half_a_minute_apart(client: TestClient) -> None:
    now = int(time.time())
    assert status(client, token(exp=now - 15)) == 200
    assert status(client, token(nbf=now + 15)) == 200
    assert status(client, token(exp=now - 45)) == 401
    assert status(client, token(nbf=now + 45)) == 401


REFUSED = {
    "another key": lambda: token("another secret of more than thirty-two bytes"),
    "expired": lambda: token(exp=int(time.time()) - 3600),
    "another audience": lambda: token(aud="another"),
    "no audience": lambda: token(aud=None),
    "another issuer": lambda: token(iss="https://evil.example.com"),
    "no issuer": lambda: token(iss=None),
    "no expiry": lambda: token(exp=None),
    "no sub": lambda: token(sub=None),
    "a sub that is no id": lambda: token(sub="admin"),
    "a sub of SQL": lambda: token(sub="3 OR 1=1"),
    "a sub beyond 64 bits": lambda: token(sub=str(2**63)),
    "a sub of 0": lambda: token(sub="0"),
    "a sub below 0": lambda: token(sub="-3"),
    "digits of another script": lambda: token(sub="٣"),
    "roles that are a text": lambda: token(roles="admin"),
    "roles that are no texts": lambda: token(roles=[1]),
    "alg none": lambda: unsigned({"alg": "none", "typ": "JWT"}, claims()),
    "alg None in capitals": lambda: unsigned({"alg": "NONE"}, claims()),
    "no signature": lambda: unsigned({"alg": "HS256"}, claims()),
    "another algorithm": lambda: token(algorithm="HS512"),
    "a public key's": lambda: token(RSA, "RS256"),
    "a changed payload": lambda: ".".join((token().split(".")[0], unsigned({}, claims(sub="5")).split(".")[1], token().split(".")[2])),
    "no token at all": lambda: "",
    "two parts": lambda: "a.b",
    "not base64": lambda: "é.ü.ö".encode().decode("latin-1"),
    "a key in the header": lambda: token(headers={"jwk": {"kty": "oct", "k": "AA"}, "kid": "../../dev/null"}, key="x" * 40),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_token_is_refused(case: str, client: TestClient) -> None:
    text = REFUSED[case]()
    for path in (OWN, ADMIN_ONLY[0]):
        found = client.get(path, headers={"Authorization": f"Bearer {text}".encode()})
        assert found.status_code == 401, found.text
        assert found.headers["www-authenticate"].startswith("Bearer")
        assert found.headers["content-type"] == "application/problem+json"
        assert not text or text not in found.text


def test_without_a_token_nothing_but_health_and_metrics_is_told(client: TestClient) -> None:
    for path in (*ADMIN_ONLY, *OF_A_USER):
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"X-User-Id": "3", "X-Roles": "admin"}).status_code == 401
        assert client.get(path, headers={"Authorization": f"Basic {token()}"}).status_code == 401
    assert client.post("/api/study/answers", json={"answers": []}).status_code == 401
    assert client.patch("/api/study/sessions/1/progress").status_code == 401


@pytest.mark.parametrize("roles", [None, [], ["user"], ["Admin"], ["administrator", "admin "]])
def test_administrators_only(roles: Any, client: TestClient) -> None:
    for path in ADMIN_ONLY:
        found = client.get(path, headers=bearer(token(roles=roles)))
        assert found.status_code == 403 and found.headers["content-type"] == "application/problem+json"


def test_a_public_key_takes_its_own_algorithm_alone(rsa_client: TestClient) -> None:
    assert status(rsa_client, token(RSA, "RS256")) == 200
    assert status(rsa_client, token(OTHER_RSA, "RS256")) == 401
    assert status(rsa_client, token(RSA, "RS512")) == 401
    assert status(rsa_client, token(EC, "ES256")) == 401
    assert status(rsa_client, token()) == 401
    for text in (pem(RSA), pem(RSA).strip(), pem(RSA) + "\n"):  # whoever knows the public key, signing with its text
        assert status(rsa_client, signed_by_text(text)) == 401
    # The forged token is a good one of its kind: a server that checked HS256 with this text would take it.
    assert hmac.compare_digest(signed_by_text(SECRET, iat=1), signed_by_text(SECRET, iat=1))


def test_the_hand_made_signature_is_one(client: TestClient) -> None:
    assert status(client, signed_by_text(SECRET)) == 200


def test_a_key_of_a_curve(head: Path) -> None:
    with client_of(head, tokens(jwt_secret=None, jwt_public_key=pem(EC).replace("\n", "\\n"))) as client:
        assert status(client, token(EC, "ES256")) == 200
        assert status(client, token(RSA, "RS256")) == 401
        assert status(client, signed_by_text(pem(EC))) == 401


def jwks(place: Path, *keys: dict[str, Any]) -> Path:
    path = place / "jwks.json"
    path.write_text(json.dumps({"keys": keys}), encoding="utf-8")
    return path


def jwk(key: Any, **more: Any) -> dict[str, Any]:
    kind: Any = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), **more}


def test_a_set_of_keys_is_asked_by_kid(head: Path, tmp_path: Path) -> None:
    path = jwks(tmp_path, jwk(RSA, kid="old"), jwk(EC, kid="new", use="sig"), jwk(OTHER_RSA, kid="enc", use="enc"))
    with client_of(head, tokens(jwt_secret=None, jwt_jwks_file=path)) as client:
        assert status(client, token(RSA, "RS256", {"kid": "old"})) == 200
        assert status(client, token(EC, "ES256", {"kid": "new"})) == 200
        assert status(client, token(RSA, "RS256", {"kid": "new"})) == 401
        assert status(client, token(RSA, "RS256", {"kid": "none"})) == 401
        assert status(client, token(RSA, "RS256")) == 401
        assert status(client, token(OTHER_RSA, "RS256", {"kid": "enc"})) == 401


BAD_KEYS: dict[str, tuple[dict[str, Any], str]] = {
    "none": ({"jwt_secret": None}, "No key for tokens is set"),
    "two": ({"jwt_public_key": pem(RSA)}, "set only one"),
    "a short secret": ({"jwt_secret": "x" * 31}, "shorter than 32 bytes"),
    "a public key as a secret": ({"jwt_secret": pem(RSA)}, "JWT_PUBLIC_KEY instead"),
    "no issuer": ({"jwt_issuer": None}, "JWT_ISSUER and JWT_AUDIENCE"),
    "no audience": ({"jwt_audience": None}, "JWT_ISSUER and JWT_AUDIENCE"),
    "no PEM": ({"jwt_secret": None, "jwt_public_key": "MIIB"}, "PEM"),
    "a weak key": ({"jwt_secret": None, "jwt_public_key": pem(rsa.generate_private_key(65537, 1024))}, "1024 bits"),
    "another curve": ({"jwt_secret": None, "jwt_public_key": pem(ec.generate_private_key(ec.SECP384R1()))}, "P-256"),
    "no file": ({"jwt_secret": None, "jwt_jwks_file": Path("/nowhere/keys.json")}, "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_KEYS)
def test_a_key_that_does_not_protect_is_no_key(case: str) -> None:
    given, words = BAD_KEYS[case]
    with pytest.raises(UsageError, match=words) as caught:
        tokens(**given)
    assert SECRET not in str(caught.value) and "x" * 31 not in str(caught.value)


BAD_SETS: dict[str, list[dict[str, Any]]] = {
    "empty": [],
    "without kid": [jwk(RSA)],
    "a secret": [{"kty": "oct", "k": "AAAA", "kid": "a"}],
    "the same kid twice": [jwk(RSA, kid="a"), jwk(OTHER_RSA, kid="a")],
    "no keys": [{"kid": "a"}],
}


@pytest.mark.parametrize("case", BAD_SETS)
def test_a_set_of_other_than_public_keys_is_refused(case: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"jwks\.json"):
        tokens(jwt_secret=None, jwt_jwks_file=jwks(tmp_path, *BAD_SETS[case]))


def test_a_server_with_a_key_is_not_started_without_tokens() -> None:
    with pytest.raises(UsageError, match="--insecure-dev"):
        access_from(Settings(jwt_secret=SECRET), insecure_dev=True)  # type: ignore[arg-type]


def test_in_development_a_header_names_the_user(head: Path) -> None:
    with client_of(head) as client:
        assert client.get(OWN, headers={"X-User-Id": "5"}).json()["user_id"] == 5
        assert client.get(OWN).status_code == 401
        assert client.get(ADMIN_ONLY[0], headers={"X-User-Id": "5"}).status_code == 403
        assert client.get(ADMIN_ONLY[0], headers={"X-User-Id": "5", "X-Roles": "user, admin"}).status_code == 200


def test_the_issuer_in_the_tests_is_the_one_that_is_set() -> None:
    assert jwt.decode(token(), SECRET, algorithms=["HS256"], audience=AUDIENCE, issuer=ISSUER)["sub"] == "3"


# --- tokens that are known again


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signatures were checked."""
    made, decode = list[str](), jwt.decode

    def seen(text: str, *given: Any, **more: Any) -> Any:
        made.append(text)
        return decode(text, *given, **more)

    monkeypatch.setattr(jwt, "decode", seen)
    return made


def test_a_token_is_checked_once_and_known_until_it_expires(checks: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    access, now = tokens(), int(time.time())
    text = token(exp=now + 5)
    assert access.identity({"authorization": f"Bearer {text}"}) == access.identity(
        {"authorization": f"bearer  {text} "}
    )
    assert checks == [text]
    monkeypatch.setattr(auth, "LEEWAY_S", -10)  # as if the leeway, and the 5 s, were over
    assert access.identity({"authorization": f"Bearer {text}"}).user_id == 3  # what was found is kept until its time
    monkeypatch.setattr(time, "time", lambda: now + 5 + 29.9)
    assert access.identity({"authorization": f"Bearer {text}"}).user_id == 3
    monkeypatch.setattr(time, "time", lambda: now + 5 + 30.0)
    with pytest.raises(Problem, match="expired"):
        access.identity({"authorization": f"Bearer {text}"})
    assert checks == [text, text]


def test_what_is_known_is_the_whole_token_with_its_roles_and_by_one_key_alone(checks: list[str]) -> None:
    access, text = tokens(), token(roles=["admin"])
    assert access.identity(bearer_of(text)).roles == {"admin"}
    head, body, signature = text.split(".")
    other = token(sub="4", roles=[]).split(".")
    for forged in (f"{head}.{body}.{other[2]}", f"{head}.{other[1]}.{signature}"):
        for _ in range(2):
            with pytest.raises(Problem):
                access.identity(bearer_of(forged))
        assert checks.count(forged) == 2  # a refusal is not known either
    for spoilt in (text[:-4], text + "A", text.upper()):
        with pytest.raises(Problem):
            access.identity(bearer_of(spoilt))
    with pytest.raises(Problem):  # another server, of another key, knows nothing of it
        tokens(
            jwt_secret="another secret of more than sixty-four bytes, so that nobody takes it for the first"
        ).identity(bearer_of(text))


def test_so_many_tokens_are_known_and_not_one_more(checks: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "MOST_KNOWN", 3)
    access, texts = tokens(), [token(sub=str(number)) for number in range(1, 5)]
    for text in texts:
        access.identity(bearer_of(text))
    for text in (*texts[1:], texts[0]):
        access.identity(bearer_of(text))
    assert checks == [*texts, texts[0]]
    assert all(text.encode() not in repr(vars(access)).encode() for text in texts)


def bearer_of(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}
