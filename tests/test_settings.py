"""Settings: from the environment before `.env`, secrets kept, wrong values named without being told."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import SecretStr

from ptp.errors import UsageError
from ptp.settings import Environment, Settings, load_settings

ROOT = Path(__file__).parents[1]
SECRET = "s3cr3t-t0k3n"
ENVIRONMENTS: tuple[Environment, ...] = get_args(Environment)

VARIABLES: dict[str, tuple[str, str, Any]] = {
    # variable: (attribute, a text, the value that it means)
    "TURSO_DATABASE_URL": ("turso_database_url", "sqlite:///a.db", "sqlite:///a.db"),
    "TURSO_AUTH_TOKEN": ("turso_auth_token", SECRET, SecretStr(SECRET)),
    "TURSO_DATABASE_URL_DEV": ("turso_database_url_dev", "sqlite:///d.db", "sqlite:///d.db"),
    "TURSO_AUTH_TOKEN_DEV": ("turso_auth_token_dev", SECRET, SecretStr(SECRET)),
    "TURSO_DATABASE_URL_STAGING": ("turso_database_url_staging", "sqlite:///s.db", "sqlite:///s.db"),
    "TURSO_AUTH_TOKEN_STAGING": ("turso_auth_token_staging", SECRET, SecretStr(SECRET)),
    "TURSO_DATABASE_URL_PROD": ("turso_database_url_prod", "sqlite:///p.db", "sqlite:///p.db"),
    "TURSO_AUTH_TOKEN_PROD": ("turso_auth_token_prod", SECRET, SecretStr(SECRET)),
    "PTP_SOURCE": ("source", "old.db", "old.db"),
    "PTP_REPORTS_DIR": ("reports_dir", "elsewhere/runs", Path("elsewhere/runs")),
    "PTP_REPORTS_KEEP": ("reports_keep", "5", 5),
    "PTP_REPORTS_DAYS": ("reports_days", "0", 0),
    "PTP_BACKUPS_DIR": ("backups_dir", "elsewhere/kept", Path("elsewhere/kept")),
    "PTP_BACKUPS_KEEP": ("backups_keep", "3", 3),
    "PTP_BACKUPS_DAYS": ("backups_days", "0", 0),
    "PTP_DRIVER": ("driver", "libsql", "libsql"),
    "PTP_CACHE_MB": ("cache_mb", "7", 7),
    "PTP_MMAP_MB": ("mmap_mb", "0", 0),
    "PTP_BUSY_TIMEOUT_MS": ("busy_timeout_ms", "1234", 1234),
    "PTP_POOL_SIZE": ("pool_size", "9", 9),
    "PTP_STATEMENT_CACHE": ("statement_cache", "0", 0),
    "PTP_CONNECT_TIMEOUT_MS": ("connect_timeout_ms", "123", 123),
    "PTP_REMOTE_TIMEOUT_MS": ("remote_timeout_ms", "456", 456),
    "PTP_REMOTE_IDLE_MS": ("remote_idle_ms", "789", 789),
    "REDIS_URL": ("redis_url", SECRET, SecretStr(SECRET)),
    "PTP_ALERT_WEBHOOK": ("alert_webhook", SECRET, SecretStr(SECRET)),
    "JWT_SECRET": ("jwt_secret", SECRET, SecretStr(SECRET)),
    "JWT_PUBLIC_KEY": ("jwt_public_key", "-----BEGIN PUBLIC KEY-----", "-----BEGIN PUBLIC KEY-----"),
    "JWT_JWKS_FILE": ("jwt_jwks_file", "keys/jwks.json", Path("keys/jwks.json")),
    "JWT_ISSUER": ("jwt_issuer", "https://login.example.com", "https://login.example.com"),
    "JWT_AUDIENCE": ("jwt_audience", "ptp", "ptp"),
}
NUMBERS = [name for name, (_, _, value) in VARIABLES.items() if isinstance(value, int)]
SECRETS = [name for name, (_, _, value) in VARIABLES.items() if isinstance(value, SecretStr)]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without any of the variables, in a folder without `.env`."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.chdir(tmp_path)


def write_env(*lines: str) -> None:
    Path(".env").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def test_the_table_above_names_every_field() -> None:
    assert sorted(attribute for attribute, _, _ in VARIABLES.values()) == sorted(Settings.model_fields)


def test_everything_has_a_default_and_no_url_or_token_is_made_up() -> None:
    settings = load_settings()
    assert settings.reports_dir == Path("reports")
    assert settings.backups_dir == Path("backups")
    for attribute, _, _ in VARIABLES.values():
        assert (getattr(settings, attribute) is None) is attribute.startswith(
            ("turso_", "jwt_", "redis_", "alert_", "source")
        )


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_is_read_from_the_environment(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    attribute, text, value = VARIABLES[variable]
    assert getattr(load_settings(), attribute) != value
    monkeypatch.setenv(variable, text)
    assert getattr(load_settings(), attribute) == value


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_is_read_from_the_env_file_of_the_current_folder(variable: str) -> None:
    attribute, text, value = VARIABLES[variable]
    write_env(f"{variable}={text}")
    assert getattr(load_settings(), attribute) == value


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_is_read_from_an_env_file_that_is_named(variable: str, tmp_path: Path) -> None:
    attribute, text, value = VARIABLES[variable]
    named = tmp_path / "named.env"
    named.write_text(f"{variable}={text}\n", encoding="utf-8")
    assert getattr(load_settings(env_file=named), attribute) == value
    assert getattr(load_settings(), attribute) != value


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_sets_nothing_but_its_own_attribute(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    attribute, text, _ = VARIABLES[variable]
    before = load_settings().model_dump()
    monkeypatch.setenv(variable, text)
    after = load_settings().model_dump()
    assert [name for name in before if before[name] != after[name]] == [attribute]


@pytest.mark.parametrize("variable", VARIABLES)
def test_the_environment_goes_before_the_env_file(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    attribute, text, value = VARIABLES[variable]
    other = "11" if variable in NUMBERS else {"PTP_DRIVER": "sqlite3"}.get(variable, "other")
    write_env(f"{variable}={other}")
    assert getattr(load_settings(), attribute) != value
    monkeypatch.setenv(variable, text)
    assert getattr(load_settings(), attribute) == value


@pytest.mark.parametrize("variable", VARIABLES)
def test_an_empty_variable_counts_as_not_set(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    attribute, text, value = VARIABLES[variable]
    default = getattr(load_settings(), attribute)
    monkeypatch.setenv(variable, "")
    assert getattr(load_settings(), attribute) == default
    write_env(f"{variable}=")
    assert getattr(load_settings(), attribute) == default
    write_env(f"{variable}={text}")
    assert getattr(load_settings(), attribute) == value, "the file's value, where the environment's is empty"


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_an_environment_has_its_own_url_and_token_or_else_the_general_ones(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().database_url(env) is None
    assert load_settings().auth_token(env) is None
    monkeypatch.setenv("TURSO_DATABASE_URL", "sqlite:///general.db")
    monkeypatch.setenv("TURSO_AUTH_TOKEN", "general")
    assert load_settings().database_url(env) == "sqlite:///general.db"
    assert load_settings().auth_token(env) == SecretStr("general")
    monkeypatch.setenv(f"TURSO_DATABASE_URL_{env.upper()}", "sqlite:///own.db")
    monkeypatch.setenv(f"TURSO_AUTH_TOKEN_{env.upper()}", "own")
    settings = load_settings()
    assert {e: settings.database_url(e) for e in ENVIRONMENTS} == {
        e: "sqlite:///own.db" if e == env else "sqlite:///general.db" for e in ENVIRONMENTS
    }
    assert {e: settings.auth_token(e) for e in ENVIRONMENTS} == {
        e: SecretStr("own" if e == env else "general") for e in ENVIRONMENTS
    }


@pytest.mark.parametrize("variable", SECRETS)
def test_a_secret_is_in_no_text_of_the_settings(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, SECRET)
    settings = load_settings()
    secret = getattr(settings, VARIABLES[variable][0])
    assert secret.get_secret_value() == SECRET
    texts = [repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump()), f"{settings!r:}"]
    texts += [repr(secret), str(secret), repr(settings.auth_token("dev")), repr(settings.__rich_repr__())]
    assert not [text for text in texts if SECRET in text]


def test_every_token_is_a_secret() -> None:
    assert sorted(SECRETS) == sorted(
        name for name in VARIABLES if any(word in name for word in ("TOKEN", "SECRET", "REDIS", "WEBHOOK"))
    )


@pytest.mark.parametrize("where", ["environment", "file"])
@pytest.mark.parametrize("value", ["many9", "-987654", "987654321.5", "987654321987654321"])
@pytest.mark.parametrize("variable", NUMBERS)
def test_a_value_that_does_not_fit_is_named_by_its_variable_alone(
    variable: str, value: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "environment":
        monkeypatch.setenv(variable, value)
    else:
        write_env(f"{variable}={value}")
    with pytest.raises(UsageError) as caught:
        load_settings()
    said = str(caught.value)
    assert variable in said
    assert value not in said
    assert said.endswith(".") and "\n" not in said and said.count(". ") == 0
    assert caught.value.__suppress_context__, "the chained error would show the value"


@pytest.mark.parametrize("value", ["libsq1", "SQLITE3", "pyturso"])
def test_a_driver_that_is_not_known_is_told_with_those_that_are(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTP_DRIVER", value)
    with pytest.raises(UsageError, match=r"PTP_DRIVER does not fit: input should be 'sqlite3' or 'libsql'\.$"):
        load_settings()


def test_one_wrong_value_does_not_show_the_secrets_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    write_env(f"TURSO_AUTH_TOKEN={SECRET}")
    monkeypatch.setenv("PTP_POOL_SIZE", "none")
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "lowest"),
    [("PTP_CACHE_MB", 1), ("PTP_MMAP_MB", 0), ("PTP_BUSY_TIMEOUT_MS", 0), ("PTP_POOL_SIZE", 1)],
)
def test_the_lowest_value_that_makes_sense_is_taken(
    variable: str, lowest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(lowest))
    assert getattr(load_settings(), VARIABLES[variable][0]) == lowest
    monkeypatch.setenv(variable, str(lowest - 1))
    with pytest.raises(UsageError, match=variable):
        load_settings()


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    write_env("OTHER=1", "DATABASE_URL=x", "# TURSO_DATABASE_URL=commented")
    monkeypatch.setenv("CACHE_MB", "nonsense")
    monkeypatch.setenv("REPORTS_DIR", "nonsense")
    assert load_settings() == Settings()
    assert load_settings().turso_database_url is None
    assert load_settings().reports_dir == Path("reports")


def test_an_env_file_that_is_not_text_is_one_sentence_and_no_traceback() -> None:
    Path(".env").write_bytes(b"TURSO_AUTH_TOKEN=\xff\xfe" + SECRET.encode())
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert ".env" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


def test_settings_do_not_change_once_they_are_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().cache_mb = 1


def example_lines() -> list[str]:
    return (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()


def test_the_example_names_exactly_the_variables_that_are_read() -> None:
    names = [line.split("=")[0] for line in example_lines() if line and not line.startswith("#")]
    assert sorted(names) == sorted(VARIABLES)


def test_each_variable_of_the_example_has_a_comment_of_its_own_above_it() -> None:
    lines = ["", *example_lines()]
    for above, line in itertools.pairwise(lines):
        if line and not line.startswith("#"):
            assert above.startswith("# ") and len(above) > 10, line


def test_the_example_as_it_stands_is_the_defaults() -> None:
    assert load_settings(env_file=ROOT / ".env.example") == load_settings()


READERS = ("environ", "environb", "getenv", "getenvb", "dotenv", "load_dotenv", "dotenv_values", "putenv")


def readers_of_the_environment(code: str) -> list[str]:
    """Names and imports in `code` by which the environment or `.env` can be read."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute):
            found.append(node.attr)
        elif isinstance(node, ast.Name):
            found.append(node.id)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            modules = [(node.module or "")] if isinstance(node, ast.ImportFrom) else []
            found += [part for a in node.names for part in a.name.split(".")]
            found += [part for module in modules for part in module.split(".")]
            found += ["dotenv" for module in modules if module.startswith("pydantic_settings")]
    return [name for name in found if name in READERS]


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.environ['A']",
        "from os import environ as e",
        "from os import getenv",
        "import os; os.getenv('A')",
        "import dotenv",
        "from dotenv import load_dotenv",
        "from pydantic_settings import BaseSettings",
    ],
)
def test_the_check_of_readers_sees_a_planted_one(code: str) -> None:
    assert readers_of_the_environment(code)


def test_no_other_module_reads_the_environment() -> None:
    modules = [path for path in (ROOT / "ptp").rglob("*.py") if path != ROOT / "ptp" / "settings.py"]
    assert len(modules) > 50
    found = {str(p): r for p in modules if (r := readers_of_the_environment(p.read_text(encoding="utf-8")))}
    assert found == {}


def test_the_project_file_comes_after_the_environment_and_the_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("ptp.toml").write_text('source = "a.db"\nbackups_keep = 3\nreports_dir = "runs"\n', encoding="utf-8")
    write_env("PTP_BACKUPS_KEEP=4", "PTP_REPORTS_DIR=")
    settings = load_settings()
    assert (settings.source, settings.backups_keep, settings.reports_dir) == ("a.db", 4, Path("runs"))
    monkeypatch.setenv("PTP_SOURCE", "b.db")
    assert load_settings().source == "b.db"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("source = ", "is no TOML"),
        ("sauce = 'a.db'", "'sauce': it may have"),
        ("turso_auth_token = 'x-secret'", "'turso_auth_token': it may have"),
        ("redis_url = 'redis://x-secret'", "'redis_url': it may have"),
        ("alert_webhook = 'https://x-secret'", "'alert_webhook': it may have"),
        ("backups_keep = 0", "PTP_BACKUPS_KEEP does not fit"),
    ],
)
def test_a_project_file_that_is_wrong_is_refused_without_telling_its_values(text: str, words: str) -> None:
    Path("ptp.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        load_settings()
    assert words in str(refused.value) and "x-secret" not in str(refused.value)
