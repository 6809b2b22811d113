"""Every setting of ptp, from the environment, `.env` and `ptp.toml`, in this order; no other module reads them."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from ptp.errors import UsageError

Environment: TypeAlias = Literal["dev", "staging", "prod"]
DriverName: TypeAlias = Literal["sqlite3", "libsql"]
PROJECT_FILE = "ptp.toml"
"""What everybody who works on a project shares: it is committed, so nothing secret may stand in it."""


class Settings(BaseSettings):
    """The settings of one process. Secrets are secret types: their text never appears in a repr, log or report."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    # An address may hold a token by mistake; so it stands in no repr.
    turso_database_url: str | None = Field(None, repr=False)
    turso_auth_token: SecretStr | None = None
    turso_database_url_dev: str | None = Field(None, repr=False)
    turso_auth_token_dev: SecretStr | None = None
    turso_database_url_staging: str | None = Field(None, repr=False)
    turso_auth_token_staging: SecretStr | None = None
    turso_database_url_prod: str | None = Field(None, repr=False)
    turso_auth_token_prod: SecretStr | None = None

    source: str | None = Field(None, validation_alias="PTP_SOURCE")
    reports_dir: Path = Field(Path("reports"), validation_alias="PTP_REPORTS_DIR")
    reports_keep: int = Field(20, ge=1, le=100_000, validation_alias="PTP_REPORTS_KEEP")
    reports_days: int = Field(30, ge=0, le=36_500, validation_alias="PTP_REPORTS_DAYS")
    backups_dir: Path = Field(Path("backups"), validation_alias="PTP_BACKUPS_DIR")
    backups_keep: int = Field(7, ge=1, le=100_000, validation_alias="PTP_BACKUPS_KEEP")
    backups_days: int = Field(30, ge=0, le=36_500, validation_alias="PTP_BACKUPS_DAYS")
    driver: DriverName = Field("sqlite3", validation_alias="PTP_DRIVER")
    cache_mb: int = Field(64, ge=1, le=65_536, validation_alias="PTP_CACHE_MB")
    mmap_mb: int = Field(256, ge=0, le=1_048_576, validation_alias="PTP_MMAP_MB")
    busy_timeout_ms: int = Field(5_000, ge=0, le=600_000, validation_alias="PTP_BUSY_TIMEOUT_MS")
    pool_size: int = Field(5, ge=1, le=1_000, validation_alias="PTP_POOL_SIZE")
    statement_cache: int = Field(256, ge=0, le=10_000, validation_alias="PTP_STATEMENT_CACHE")
    connect_timeout_ms: int = Field(5_000, ge=1, le=600_000, validation_alias="PTP_CONNECT_TIMEOUT_MS")
    remote_timeout_ms: int = Field(15_000, ge=1, le=600_000, validation_alias="PTP_REMOTE_TIMEOUT_MS")
    remote_idle_ms: int = Field(9_000, ge=1, le=600_000, validation_alias="PTP_REMOTE_IDLE_MS")

    redis_url: SecretStr | None = None
    alert_webhook: SecretStr | None = Field(None, validation_alias="PTP_ALERT_WEBHOOK")

    jwt_secret: SecretStr | None = None
    jwt_public_key: str | None = None
    jwt_jwks_file: Path | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then `.env`, then `ptp.toml`."""
        shared = InitSettingsSource(settings_cls, init_kwargs=_shared(Path(PROJECT_FILE)))
        return init_settings, env_settings, dotenv_settings, shared

    def database_url(self, env: Environment) -> str | None:
        """The database URL of an environment; the general one where it has none of its own."""
        found: str | None = getattr(self, f"turso_database_url_{env}")
        return found or self.turso_database_url

    def auth_token(self, env: Environment) -> SecretStr | None:
        """The token of an environment; the general one where it has none of its own."""
        found: SecretStr | None = getattr(self, f"turso_auth_token_{env}")
        return found or self.turso_auth_token

    def token_for(self, url: str) -> SecretStr | None:
        """The token that stands beside this URL in the settings; without any URL there, the general one.

        So that a token goes to the server that it was given for, and to no other.
        """
        pairs = (
            (self.turso_database_url, self.turso_auth_token),
            *((self.database_url(e), self.auth_token(e)) for e in get_args(Environment)),
        )
        if not any(known for known, _ in pairs):
            return self.turso_auth_token
        return next((token for known, token in pairs if known and known.rstrip("/") == url.rstrip("/")), None)


def load_settings(*, env_file: Path | None = None) -> Settings:
    """Read the settings; raises UsageError naming the variable that does not fit, never its value if it is secret."""
    try:
        return Settings(_env_file=env_file) if env_file else Settings()
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]).upper() if first["loc"] else "a setting"
        raise UsageError(f"The environment variable {name} does not fit: {first['msg'].lower()}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{env_file or '.env'} is not UTF-8 text: save it as such.") from None


def shared_names() -> dict[str, str]:
    """The settings that `ptp.toml` may hold, each with its environment variable: those of ptp's own, none secret."""
    aliases = {name: str(field.validation_alias or "") for name, field in Settings.model_fields.items()}
    secrets = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    return {name: alias for name, alias in aliases.items() if alias.startswith("PTP_") and name not in secrets}


def _shared(path: Path) -> dict[str, Any]:
    """What the project's file says, by environment variable; raises UsageError for one that is wrong."""
    if not path.is_file():
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path} is no TOML: {problem}.") from None
    names = shared_names()
    for key in found:
        if key not in names:
            raise UsageError(
                f"{path} has a key that ptp does not take from there, '{key}': it may have {', '.join(sorted(names))}; "
                "addresses and secrets stand in .env."
            )
    return {names[key]: value for key, value in found.items()}


def temporary_folders() -> tuple[str, ...]:
    """The folders that the variables name in which SQLite looks for one to sort in, in its own order."""
    return tuple(os.environ[name] for name in ("SQLITE_TMPDIR", "TMPDIR") if os.environ.get(name))


@contextmanager
def variable_for_children(name: str, value: str) -> Iterator[None]:
    """An environment variable that this process and those that it starts meanwhile have; it has none of that name."""
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def variables_of_a_child(*, without: Collection[str] = ()) -> dict[str, str]:
    """The environment variables for a process that ptp starts: its own, but for those that would mislead it."""
    return {name: value for name, value in os.environ.items() if name not in without}
