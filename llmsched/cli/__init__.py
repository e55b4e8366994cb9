"""The command line: parse, call, print.

Exit codes: 0 done, 1 a gate failed, 2 bad input or usage, 3 results not comparable, 70 a defect of
llmsched (a law that a result breaks, or a traceback), 130 interrupted. An error a user can cause
is one line on stderr, never a traceback. Command modules import only typer and the standard library
at their top, so that ``llmsched --help`` need not wait for NumPy or OR-tools.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from llmsched import kernel
from llmsched.cli import (
    compare,
    hardware,
    metrics,
    plan,
    policies,
    report,
    schema,
    simulate,
    trace,
    verify,
)
from llmsched.cli.command import GroupedCommands, GroupedHelp
from llmsched.cli.options import grouped
from llmsched.cli.streams import prepare
from llmsched.errors import LlmschedError
from llmsched.files import release
from llmsched.notes import discard, say
from llmsched.version import __version__

app = typer.Typer(
    name="llmsched",
    cls=GroupedCommands,
    help="Benchmark and plan LLM inference schedules without a GPU.",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"llmsched {__version__}")
        typer.echo(kernel.which())
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Benchmark and plan LLM inference schedules without a GPU."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for command in (
    compare.compare,
    simulate.simulate,
    plan.plan,
    report.report,
    policies.policies,
    metrics.metrics,
    schema.schema,
):
    app.command(cls=GroupedHelp)(grouped(command))
for group in (hardware, trace, verify):
    app.add_typer(group.app, name=group.__name__.rpartition(".")[2])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the program's name; ``sys.argv[1:]`` by default.
    """
    prepare()
    try:
        code = app(arguments, prog_name="llmsched", standalone_mode=False)
        sys.stdout.flush()
    except LlmschedError as error:
        return _complain(str(error), error.exit_code)
    except typer.TyperException as error:  # usage: an unknown option, a missing argument
        message = error.format_message()  # empty where the help was shown instead
        return _complain(message, error.exit_code) if message else error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return _complain("interrupted", 130)
    except (BrokenPipeError, SystemExit) as error:
        if BrokenPipeError not in (type(error), type(error.__context__)):  # typer's, of a pipe
            return _crashed()
        discard(sys.stdout)
        return 0
    except OSError as error:  # a full disk, a name that is too long: not ours
        return _complain(f"{error.filename or 'stdout'}: {error.strerror}", 2)
    except Exception:
        return _crashed()
    finally:
        release()
    if code == 130:
        return _complain("interrupted", 130)
    return code if isinstance(code, int) else 0


def _crashed() -> int:
    """A defect must not look like a failed gate, which is what Python's own 1 would mean."""
    traceback.print_exc()
    return 70


def _complain(message: str, code: int) -> int:
    """Say what is wrong in one line; a name of thousands of letters is shown by both its ends."""
    words = (
        word if len(word) <= 1000 else f"{word[:60]}...{word[-60:]}" for word in message.split()
    )
    say(f"llmsched: {' '.join(words)}")
    return code
