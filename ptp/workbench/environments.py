"""Environments: which database each of them has, and what a change of the production database wants beforehand."""

from __future__ import annotations

from pathlib import Path

from ptp.engine import database_path
from ptp.errors import UsageError
from ptp.migration.plan import OnDirty
from ptp.settings import Environment, Settings, load_settings
from ptp.workbench import migrating
from ptp.workbench.rehearsing import read_record, schema_hash

PROD: Environment = "prod"


def source_of(env: Environment, settings: Settings) -> Path:
    """The database of an environment, as the settings name it; raises UsageError where they name none."""
    url = settings.database_url(env)
    if not url:
        raise UsageError(f"--env {env} wants TURSO_DATABASE_URL_{env.upper()} or TURSO_DATABASE_URL to be set.")
    return database_path(url)


def check_environment(source: Path, env: Environment | None) -> None:
    """Raise UsageError where a database is that of prod, and is about to be treated as if it were not.

    Only the variable of prod itself counts: the general one may name the database of any environment.
    """
    url = load_settings().turso_database_url_prod
    if env == PROD or not url or "://" in url.removeprefix("sqlite:///"):
        return
    production = database_path(url)
    if production.exists() and source.exists() and source.samefile(production):
        raise UsageError(f"{source} is the database of prod (TURSO_DATABASE_URL_PROD): say --env prod.")


def is_dry(env: Environment | None, *, confirm: str | None, dry_run: bool) -> bool:
    """Whether nothing is to be changed: as asked for, and in prod as long as nothing is confirmed."""
    return dry_run or (env == PROD and confirm is None)


def check_confirmed(source: Path, env: Environment | None, confirm: str | None) -> None:
    """Raise UsageError unless a change in prod is confirmed by the name of the very file."""
    if env == PROD and confirm != source.name:
        given = f"--confirm {confirm} names another file than that" if confirm else "Nothing confirms a change"
        raise UsageError(f"{given} of prod: to change {source}, say --confirm {source.name}.")


def check_rehearsed(source: Path, env: Environment | None, *, on_dirty: OnDirty) -> None:
    """Raise UsageError unless the plan for the database of prod was rehearsed, as plan and schema are now, and held."""
    if env == PROD and (missing := why_not_rehearsed(source, on_dirty=on_dirty)):
        raise UsageError(missing)


def why_not_rehearsed(source: Path, *, on_dirty: OnDirty) -> str:
    """What is missing of a rehearsal, and the command that makes it; empty where there is one that held."""
    plan = migrating.plan_of(source, on_dirty=on_dirty)
    policy = "" if on_dirty == "stop" else f" --on-dirty {on_dirty}"
    command = f"ptp migrate --rehearse --source {source}{policy}"
    record = read_record(plan.hash, schema_hash(source))
    if record is None:
        return (
            f"There is no rehearsal of plan {plan.hash[:16]} on the schema that {source} has now, which prod wants: "
            f"make one with {command}"
        )
    if record.verdict != "pass":
        return (
            f"The rehearsal of plan {plan.hash[:16]} on {record.at} ended as {record.verdict}, which is not enough for "
            f"prod: mend what it names ({record.reason}), and make another with {command}"
        )
    return ""


def wanted_by_prod(source: Path, *, on_dirty: OnDirty) -> list[dict[str, str]]:
    """What a change of the production database wants beforehand, and whether it is there."""
    missing = why_not_rehearsed(source, on_dirty=on_dirty)
    return [
        {"prod wants": "a rehearsal of this plan on this schema", "state": missing or "there is one, and it held"},
        {"prod wants": "a proven backup", "state": "the run takes one and proves it, before its first change"},
        {"prod wants": "the name of its file", "state": f"--confirm {source.name}"},
    ]
