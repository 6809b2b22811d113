"""Every environment variable that ptp reads, from the environment and `.env`; no other module reads either."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ptp.errors import UsageError

Environment: TypeAlias = Literal["dev", "staging", "prod"]
DriverName: TypeAlias = Literal["sqlite3", "libsql"]


class Settings(BaseSettings):
    """The settings of one process. Secrets are secret types: their text never appears in a repr, log or report."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    turso_database_url: str | None = None
    turso_auth_token: SecretStr | None = None
    turso_database_url_dev: str | None = None
    turso_auth_token_dev: SecretStr | None = None
    turso_database_url_staging: str | None = None
    turso_auth_token_staging: SecretStr | None = None
    turso_database_url_prod: str | None = None
    turso_auth_token_prod: SecretStr | None = None

    reports_dir: Path = Field(Path("reports"), validation_alias="PTP_REPORTS_DIR")
    backups_dir: Path = Field(Path("backups"), validation_alias="PTP_BACKUPS_DIR")
    backups_keep: int = Field(7, ge=1, le=100_000, validation_alias="PTP_BACKUPS_KEEP")
    backups_days: int = Field(30, ge=0, le=36_500, validation_alias="PTP_BACKUPS_DAYS")
    driver: DriverName = Field("sqlite3", validation_alias="PTP_DRIVER")
    cache_mb: int = Field(64, ge=1, le=65_536, validation_alias="PTP_CACHE_MB")
    mmap_mb: int = Field(256, ge=0, le=1_048_576, validation_alias="PTP_MMAP_MB")
    busy_timeout_ms: int = Field(5_000, ge=0, le=600_000, validation_alias="PTP_BUSY_TIMEOUT_MS")
    pool_size: int = Field(5, ge=1, le=1_000, validation_alias="PTP_POOL_SIZE")
    statement_cache: int = Field(256, ge=0, le=10_000, validation_alias="PTP_STATEMENT_CACHE")

    redis_url: SecretStr | None = None
    alert_webhook: SecretStr | None = Field(None, validation_alias="PTP_ALERT_WEBHOOK")

    jwt_secret: SecretStr | None = None
    jwt_public_key: str | None = None
    jwt_jwks_file: Path | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None

    def database_url(self, env: Environment) -> str | None:
        """The database URL of an environment; the general one where it has none of its own."""
        found: str | None = getattr(self, f"turso_database_url_{env}")
        return found or self.turso_database_url

    def auth_token(self, env: Environment) -> SecretStr | None:
        """The token of an environment; the general one where it has none of its own."""
        found: SecretStr | None = getattr(self, f"turso_auth_token_{env}")
        return found or self.turso_auth_token


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


def temporary_folders() -> tuple[str, ...]:
    """The folders that the variables name in which SQLite looks for one to sort in, in its own order."""
    return tuple(os.environ[name] for name in ("SQLITE_TMPDIR", "TMPDIR") if os.environ.get(name))


def variables_of_a_child(*, without: Collection[str] = ()) -> dict[str, str]:
    """The environment variables for a process that ptp starts: its own, but for those that would mislead it."""
    return {name: value for name, value in os.environ.items() if name not in without}
