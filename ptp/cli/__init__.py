"""The command line: a file a command or group of commands, all work in the workbench."""

from __future__ import annotations

import errno
import signal
import sys
import warnings
from typing import Annotated, NoReturn

import typer

import ptp
from ptp import terminal
from ptp.cli import (
    backup,
    bench,
    demo,
    doctor,
    init,
    load,
    migrate,
    quarantine,
    replica,
    report,
    rollback,
    run,
    scale,
    serve,
    step,
    upkeep,
    verify,
)
from ptp.cli.options import Json
from ptp.cli.state import tell_state
from ptp.errors import EXIT_CANNOT_FINISH, EXIT_INTERRUPTED, PtpError

app = typer.Typer(
    name="ptp",
    help="Migrate the PingToPass exam database, prove that nothing was lost, measure it, report the evidence.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for group in (
    run,
    migrate,
    rollback,
    step,
    verify,
    bench,
    load,
    scale,
    upkeep,
    demo,
    report,
    quarantine,
    backup,
    replica,
    serve,
    init,
    doctor,
):  # in the order of the help
    app.add_typer(group.commands)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    as_json: Json = False,
) -> None:
    """Options of ptp itself; without a command it says where things stand, and what to do next."""
    if version:
        typer.echo(f"ptp {ptp.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        tell_state(as_json=as_json)
    elif as_json:
        raise typer.BadParameter("--json stands after the command: ptp COMMAND --json")


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
