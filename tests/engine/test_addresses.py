"""What a URL says: the route, the place, and for a wrong one the sentence that names the right one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptp.engine import open_engine
from ptp.engine.addresses import parse_address
from ptp.errors import UsageError
from ptp.settings import Settings

SECRET = "eyJhbGciOiJFZERTQSJ9.planted.token"


@pytest.mark.parametrize(
    ("url", "route", "place"),
    [
        ("sqlite:///a/b.db", "sqlite3", "a/b.db"),
        ("sqlite:////a/b.db", "sqlite3", "/a/b.db"),
        ("file:a.db", "sqlite3", "a.db"),
        ("a.db", "sqlite3", "a.db"),
        ("odd:name.db", "sqlite3", "odd:name.db"),
        ("libsql:a.db", "libsql", "a.db"),
        ("libsql:/a/b.db", "libsql", "/a/b.db"),
        ("turso:a.db", "turso", "a.db"),
        ("turso-sync:a.db?remote=libsql://h.example", "turso-sync", "a.db"),
        ("libsql://h.example", "http3", "https://h.example"),
        ("turso://h.example", "http3", "https://h.example"),
        ("LIBSQL://h.example/", "http3", "https://h.example"),
        ("libsql://h.example:8080?tls=0", "http3", "http://h.example:8080"),
        ("https://h.example/db", "http3", "https://h.example/db"),
        ("http://127.0.0.1:8080?protocol=3", "http3", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http3", "http://[::1]:8080"),
        ("http://127.0.0.1:8080?protocol=1", "http1", "http://127.0.0.1:8080"),
        ("ws://h.example:80", "websocket", "ws://h.example:80"),
        ("wss://h.example", "websocket", "wss://h.example"),
    ],
)
def test_a_url_decides(url: str, route: str, place: str) -> None:
    address = parse_address(url)
    assert (address.route, str(address.path) if address.path else address.url) == (route, place)
    assert address.is_remote is (route in ("http3", "http1", "websocket"))


def test_a_path_is_a_file_whatever_it_looks_like(tmp_path: Path) -> None:
    assert parse_address(Path("libsql:a.db")).route == "sqlite3"
    assert parse_address("turso-sync:a.db?remote=http://h:80").url == "http://h:80"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("libsql://", "libsql:// names no server: write libsql://host or libsql://host:port; for a file write libsql:"),
        ("libsql:///var/app.db", "for a file write libsql:path/to/file.db"),
        ("http://:80", "http:// names no server"),
        ("http://h:port", "The address after http:// is none"),
        ("ws://exams.turso.io", "Turso Cloud has no WebSocket for this driver: write libsql://exams.turso.io."),
        ("wss://exams.turso.io", "write libsql://exams.turso.io."),
        ("sqlite://a.db", "two slashes names no file: write sqlite:///path/to/file.db."),
        ("turso-sync://h/a.db", "takes a file, without slashes for a host: write turso-sync:path/to/file.db."),
        ("turso:", "names no file: write turso:path/to/file.db."),
        ("turso-sync:a.db", "A replica has a remote: write turso-sync:path/to/file.db?remote=libsql://host."),
        ("turso-sync:a.db?remote=b.db", "The remote of a replica is a server over HTTP"),
        ("turso-sync:a.db?remote=ws://h", "The remote of a replica is a server over HTTP"),
        ("http://h:1?protocol=2", "protocol is 1 or 3"),
        ("libsql://h?protocol=1", "protocol is 1 or 3, and stands with http:// and https:// only."),
        ("http://h?tls=1", "http:// says itself whether there is TLS"),
        ("libsql://h?tls=yes", "tls is 0 or 1."),
        ("libsql://h?mode=ro", "an option that ptp does not know, 'mode': it may have protocol and tls."),
        ("turso:a.db?mode=ro", "an option that ptp does not know, 'mode': it has none."),
        ("libsql://h#x", "a part after '#'"),
        ("postgres://h/db", "postgres:// names no file"),
    ],
)
def test_a_wrong_url_ends_in_a_sentence_that_names_the_right_one(url: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        open_engine(url)
    assert words in str(refused.value)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize(
    "url",
    [
        f"libsql://h.turso.io?authToken={SECRET}",
        f"https://h.turso.io?auth_token={SECRET}",
        f"http://h:1?jwt={SECRET}&protocol=1",
        f"ws://h:1?TOKEN={SECRET}",
        f"libsql://user:{SECRET}@h.turso.io",
        f"libsql://{SECRET}@h.turso.io",
        f"turso-sync:a.db?remote=libsql://h?authToken={SECRET}",
        f"turso-sync:a.db?remote=libsql://h&authToken={SECRET}",
    ],
)
def test_a_url_with_a_token_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(UsageError, match="put it into TURSO_AUTH_TOKEN") as refused:
        open_engine(url)
    assert SECRET not in f"{refused.value!r} {refused.value.__cause__!r} {refused.value.__context__!r}"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("exams.turso.io", "for a server write libsql://exams.turso.io."),
        ("localhost:8080", "for a server write http://localhost:8080, or libsql://localhost:8080 with TLS."),
        ("nothing.db", "There is no database file nothing.db."),
    ],
)
def test_a_server_without_its_scheme_is_told_of(
    given: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as refused:
        open_engine(given)
    assert words in str(refused.value)


@pytest.mark.parametrize("scheme", ["libsql", "turso", "turso-sync"])
def test_no_route_creates_a_file(scheme: str, tmp_path: Path) -> None:
    tail = "?remote=http://127.0.0.1:9" if scheme == "turso-sync" else ""
    for name in ("none.db", "x?mode=ro") if not tail else ("none.db",):
        with pytest.raises(UsageError):
            open_engine(f"{scheme}:{tmp_path / name}{tail}")
    assert list(tmp_path.iterdir()) == []


def test_a_token_goes_to_the_server_that_it_stands_beside_and_to_no_other() -> None:
    settings = Settings.model_validate(
        {"turso_database_url": "libsql://a", "turso_auth_token": "general", "turso_database_url_prod": "libsql://p",
         "turso_auth_token_prod": "prod"}
    )  # fmt: skip
    found = {url: settings.token_for(url) for url in ("libsql://a", "libsql://a/", "libsql://p", "libsql://else")}
    assert {u: t.get_secret_value() if t else None for u, t in found.items()} == {
        "libsql://a": "general",
        "libsql://a/": "general",
        "libsql://p": "prod",
        "libsql://else": None,
    }
    alone = Settings.model_validate({"turso_auth_token": "general"}).token_for("libsql://any")
    assert alone is not None
    assert alone.get_secret_value() == "general"


def test_the_settings_show_no_url_that_may_hold_a_token() -> None:
    settings = Settings.model_validate(
        {"turso_database_url": f"libsql://h?authToken={SECRET}", "turso_auth_token": SECRET}
    )
    assert SECRET not in f"{settings!r} {settings}"
