"""The command line: one short function a command, all work in the workbench."""

from __future__ import annotations

import errno
import json
import signal
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

import ptp
from ptp import terminal
from ptp.engine import database_path
from ptp.errors import EXIT_CANNOT_FINISH, EXIT_INTERRUPTED, PtpError, UsageError
from ptp.evidence import write_stage
from ptp.settings import Settings, load_settings
from ptp.workbench.places import demo_source, make_folder
from ptp.workbench.progress import Progress

app = typer.Typer(
    name="ptp",
    help="Migrate the PingToPass exam database, prove that nothing was lost, measure it, report the evidence.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Source = Annotated[str, typer.Option(help="Database to migrate from; it is only read.", metavar="FILE")]
Target = Annotated[str, typer.Option(help="Database at head.", metavar="FILE")]
OnDirty = Annotated[
    Literal["stop", "quarantine"],
    typer.Option(help="Values that do not convert exactly: stop before any change, or keep them in quarantine."),
]
Profile = Annotated[Literal["quick", "full"], typer.Option(help="How many samples a query gets.")]
Out = Annotated[
    Path | None, typer.Option(help="Run folder, new or empty; one under reports/ if not given.", metavar="DIR")
]
Environment = Annotated[
    Literal["dev", "staging", "prod"] | None, typer.Option(help="Take the source from this environment's settings.")
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same data or calls.")]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Options of ptp itself."""
    if version:
        typer.echo(f"ptp {ptp.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(epilog="Example: ptp run --source old.db --profile full")
def run(
    source: Annotated[
        str | None, typer.Option(help="Database to migrate; a demo if not given.", metavar="FILE")
    ] = None,
    target: Annotated[str | None, typer.Option(help="New database; in DIR if not given.", metavar="FILE")] = None,
    out: Out = None,
    profile: Profile = "quick",
    env: Environment = None,
    on_dirty: OnDirty = "stop",
    as_json: Json = False,
) -> None:
    """Migrate, verify, benchmark and report: one run, one verdict."""
    from ptp.workbench.run import Request, execute_run, new_run_id

    settings = load_settings()
    identity = new_run_id()
    folder = out or settings.reports_dir / identity
    with terminal.progress_bar("ptp run", silent=as_json) as progress:
        request = Request(
            source=_source(source, env, settings, progress),
            out=folder,
            id=identity,
            target=database_path(target) if target else None,
            profile=profile,
            env=env or "dev",
            on_dirty=on_dirty,
        )
        outcome = execute_run(request, progress=progress)
    if as_json:
        typer.echo((folder / "verdict.json").read_text(encoding="utf-8"), nl=False)
    else:
        if outcome.error:
            terminal.tell_error(str(outcome.error))
        terminal.tell_run(outcome.evidence, report=str(folder / "index.html"))
    raise typer.Exit(outcome.exit_code)


@app.command(epilog="Example: ptp migrate --source old.db --target new.db")
def migrate(
    source: Source,
    target: Target,
    out: Out = None,
    on_dirty: OnDirty = "stop",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Build a database at head from a source, which is backed up and only read."""
    from ptp.workbench import migrating
    from ptp.workbench.run import new_run_id

    old, new = database_path(source), database_path(target)
    plan = migrating.plan_of(old, on_dirty=on_dirty)
    if dry_run:
        document = {
            "version": 1,
            "hash": plan.hash,
            "shape": plan.shape,
            "statements": list(map(asdict, plan.statements)),
        }
        typer.echo(
            json.dumps(document) if as_json else f"-- plan {plan.hash}, shape {plan.shape}\n{plan.text}", nl=as_json
        )
        return
    identity = new_run_id()
    folder = out or load_settings().reports_dir / identity
    migrating.check_target(new, out=folder)
    make_folder(folder)
    with terminal.progress_bar("ptp migrate", silent=as_json) as progress:
        stage = migrating.migrate(old, new, folder, run=identity, on_dirty=on_dirty, progress=progress)
    write_stage(folder, stage)
    terminal.finish_stage(stage, f"Next: ptp verify --source {old} --target {new}", as_json=as_json)


@app.command(epilog="Example: ptp verify --source old.db --target new.db")
def verify(
    source: Annotated[
        str | None, typer.Option(help="Database to migrate from; it is only read.", metavar="FILE")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Database at head.", metavar="FILE")] = None,
    prove: Annotated[
        Literal["quick", "full"] | None,
        typer.Option(help="Prove the verifier: damage a demo in every known way, once or 25 times; is all of it seen?"),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Compare the target with what this run saw, not with a source.", metavar="RUN")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare every row and column of a target with what its source should have become."""
    from ptp.workbench import proving, verifying

    if against is not None:
        if target is None or source is not None or prove is not None:
            raise UsageError("--against RUN goes with --target FILE alone: ptp verify --against RUN --target FILE.")
        with terminal.progress_bar("ptp verify", silent=as_json) as progress:
            since = verifying.verify_since(database_path(target), against, progress=progress)
        terminal.finish_stage(since, f"Next: ptp health --target {target}", as_json=as_json)
    if (source is None) != (target is None) or (source is None and prove is None):
        raise UsageError(f"Missing option '--{'source' if source is None else 'target'}'; see ptp verify --help.")
    pair = (database_path(source), database_path(target)) if source and target else None
    with terminal.progress_bar("ptp verify", silent=as_json) as progress:
        stage = proving.verify_and_prove(pair, prove, progress=progress)
    if prove and not as_json:
        typer.echo(proving.rates_text(stage) + "\n")
    following = f"Next: ptp bench --target {pair[1]}" if pair else "Each kind of damage: the same command with --json."
    terminal.finish_stage(stage, following, as_json=as_json)


@app.command(epilog="Example: ptp bench --target new.db --profile full")
def bench(
    target: Target,
    out: Out = None,
    profile: Profile = "quick",
    seed: Seed = 1,
    floors: Annotated[
        bool, typer.Option("--floors", help="Beside what plain sqlite3 takes for the same, not against the limits.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Time every query on a copy of a target, each against its limit."""
    from ptp.workbench import benchmarking
    from ptp.workbench.floors import measure_floors, table_text
    from ptp.workbench.run import new_run_id

    new = database_path(target)
    benchmarking.check_benchmarkable(new)
    folder = out or load_settings().reports_dir / new_run_id()
    make_folder(folder)
    measure = measure_floors if floors else benchmarking.benchmark
    with terminal.progress_bar("ptp bench", silent=as_json) as progress:
        stage = measure(new, folder, profile=profile, seed=seed, progress=progress)
    write_stage(folder, stage)
    if floors and not as_json:
        typer.echo(table_text(stage) + "\n")
    following = f"Raw samples: {folder / 'results' / (stage.name + '.json')}"
    terminal.finish_stage(stage, following, as_json=as_json)


@app.command(epilog="Example: ptp optimize --target new.db --dry-run")
def optimize(
    target: Target,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Analyze a target and create the indexes of head that it lacks, each tried on a copy first."""
    from ptp.workbench import optimizing

    new = database_path(target)
    with terminal.progress_bar("ptp optimize", silent=as_json) as progress:
        stage = optimizing.optimize(new, dry_run=dry_run, progress=progress)
    if not as_json:
        terminal.tell_rows(stage.tables.get("Advice", ()))
    following = f"Next: ptp optimize --target {new}" if dry_run else f"Next: ptp health --target {new}"
    terminal.finish_stage(stage, following, as_json=as_json)


@app.command(epilog="Example: ptp health --target new.db")
def health(target: Target, as_json: Json = False) -> None:
    """Look at a target from all sides, only reading it, and say what to do where something is not right."""
    from ptp.workbench import health as checks

    new = database_path(target)
    with terminal.progress_bar("ptp health", silent=as_json) as progress:
        stage = checks.examine(new, progress=progress)
    terminal.finish_stage(stage, f"Next: ptp bench --target {new}", as_json=as_json)


@app.command(epilog="Example: ptp demo --shape drizzle --size full --seed 7 --out demo.db")
def demo(
    out: Annotated[Path, typer.Option(help="File to write.", metavar="FILE")],
    shape: Annotated[Literal["raw", "drizzle"], typer.Option(help="Which schema the source has.")] = "raw",
    size: Annotated[
        Literal["tiny", "quick", "full"], typer.Option(help="2,000, 100,000 or 1,000,000 answers.")
    ] = "quick",
    seed: Seed = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it exists.")] = False,
    as_json: Json = False,
) -> None:
    """Write a demo source: a database as the platform would have left it."""
    from ptp.workload.demo import write_demo

    with terminal.progress_bar("ptp demo", silent=as_json) as progress:
        made = write_demo(shape=shape, size=size, seed=seed, out=out, overwrite=overwrite, progress=progress)
    if as_json:
        typer.echo(json.dumps({"version": 1, **asdict(made), "rows": dict(made.rows), "path": str(made.path)}))
        return
    rows = sum(made.rows.values())
    typer.echo(f"{made.path}: {shape}, {rows:,} rows, {made.bytes / 1e6:,.1f} MB, {made.seconds:.1f} s")
    typer.echo(f"Next: ptp run --source {made.path}")


@app.command(epilog="Example: ptp report reports/latest")
def report(folder: Annotated[Path, typer.Argument(help="A run folder.", metavar="DIR")], as_json: Json = False) -> None:
    """Write the report of a run anew from its results."""
    from ptp.report.page import write_report

    page = write_report(folder)
    typer.echo(json.dumps({"version": 1, "report": str(page)}) if as_json else f"Report: {page}")


quarantine = typer.Typer(
    name="quarantine",
    help="What a migration kept in quarantine: list it, export it, or try again to bring it home.",
    rich_markup_mode=None,
    epilog="Example: ptp quarantine list --target new.db",
)
app.add_typer(quarantine)

Kept = Annotated[str, typer.Option(help="Database built with --on-dirty quarantine.", metavar="FILE")]
Table = Annotated[str, typer.Option(help="Only what comes from this source table.", metavar="TABLE")]


@quarantine.command("list", epilog="Example: ptp quarantine list --target new.db --table users")
def quarantine_list(target: Kept, table: Table = "", as_json: Json = False) -> None:
    """Say what stands in quarantine: counts and examples by table, column and reason."""
    from ptp.workbench import keeping

    new = database_path(target)
    groups = keeping.list_quarantine(new, table=table)
    if as_json:
        typer.echo(json.dumps({"version": 1, "groups": list(map(asdict, groups))}, ensure_ascii=False))
        return
    terminal.tell_rows(keeping.readable(groups))
    typer.echo(f"{keeping.count_of(groups)}.")
    following = f"ptp quarantine export --target {new} --out DIR" if groups else f"ptp health --target {new}"
    typer.echo(f"Next: {following}")


@quarantine.command("export", epilog="Example: ptp quarantine export --target new.db --out originals")
def quarantine_export(
    target: Kept,
    out: Annotated[Path | None, typer.Option(help="Folder to write, new or empty.", metavar="DIR")] = None,
    table: Table = "",
    check: Annotated[
        Path | None, typer.Option(help="Write nothing; compare this export with the quarantine.", metavar="DIR")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write every original, not masked, to files that lose no byte, and prove it by reading them back."""
    from ptp.workbench import keeping

    new = database_path(target)
    if (out is None) == (check is None):
        raise UsageError("Give --out DIR to write an export, or --check DIR to compare one; see --help.")
    if check is not None and table:
        raise UsageError("--table goes with --out: --check compares all that an export holds.")
    with terminal.progress_bar("ptp quarantine export", silent=as_json) as progress:
        if out is None:
            stage = keeping.check_export(new, check or Path())
        else:
            stage = keeping.export_quarantine(new, out, table=table, progress=progress)
    if not as_json:
        terminal.tell_rows(stage.tables.get("Files", ()))
    terminal.finish_stage(stage, f"Next: ptp quarantine retry --target {new} --dry-run", as_json=as_json)


@quarantine.command("retry", epilog="Example: ptp quarantine retry --target new.db --dry-run")
def quarantine_retry(
    target: Kept,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come home, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Convert everything in quarantine anew, and bring home what no rule rejects any more.

    What is rounded has its original kept; what is refused breaks a rule of the database itself; a column that was
    changed since, or whose row is gone, is left alone. A try without change takes the lock of a writer, too.
    """
    from ptp.workbench import keeping
    from ptp.workbench.run import new_run_id

    new = database_path(target)
    with terminal.progress_bar("ptp quarantine retry", silent=as_json) as progress:
        stage = keeping.retry_quarantine(new, run=new_run_id(), dry_run=dry_run, progress=progress)
    if not as_json:
        terminal.tell_rows(keeping.without_zeros(stage.tables.get("Outcome", ())))
    following = f"ptp quarantine retry --target {new}" if dry_run else f"ptp verify --source SOURCE --target {new}"
    terminal.finish_stage(stage, f"Next: {following}", as_json=as_json)


def _source(given: str | None, env: Any, settings: Settings, progress: Progress) -> Path:
    """The source as given, that of the environment, or the demo."""
    if given:
        return database_path(given)
    if env is None:
        return demo_source(progress=progress)
    url = settings.database_url(env)
    if not url:
        raise UsageError(f"--env {env} wants TURSO_DATABASE_URL_{env.upper()} or TURSO_DATABASE_URL to be set.")
    return database_path(url)


def main() -> NoReturn:
    """Run the command line: every error is one sentence on stderr and an exit code, never a traceback."""
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupted)
    try:
        code = app(standalone_mode=False)
        if code == EXIT_INTERRUPTED:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt
    except typer.TyperException as problem:
        code = _told(_usage(problem), problem.exit_code)
    except PtpError as problem:
        code = _told(str(problem), problem.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = _told("interrupted; nothing half-written was left.", EXIT_INTERRUPTED)
    except OSError as problem:
        full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "the disk is full" if full else str(problem.strerror or problem)
        code = _told(f"{what}: {problem.filename or 'while writing'}.", EXIT_CANNOT_FINISH)
    except Exception as problem:
        code = _told(f"internal error, {type(problem).__name__}: {problem}. Please report it.", EXIT_CANNOT_FINISH)
    sys.exit(code if isinstance(code, int) else 0)


def _interrupted(_number: int, _frame: object) -> NoReturn:
    """End the work, and keep quiet what is only half begun then: a kernel's start that nobody awaits any more."""
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None
    raise KeyboardInterrupt


def _usage(problem: typer.TyperException) -> str:
    """What is wrong with the command line, and where its options stand."""
    context = getattr(problem, "ctx", None)
    command = context.command_path if context else "ptp"
    return f"{problem.format_message().rstrip('.')}; see {command} --help."


def _told(sentence: str, code: int) -> int:
    terminal.tell_error(sentence)
    return code


if __name__ == "__main__":
    main()
