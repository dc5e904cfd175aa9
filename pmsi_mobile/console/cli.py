"""What every command shares: one-line errors, exit codes, `--debug`, `--version`."""

import functools
import inspect
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Annotated, Any

import typer

from pmsi_mobile import __version__
from pmsi_mobile.console.reasons import reason
from pmsi_mobile.console.terminal import say
from pmsi_mobile.errors import Interrupted, PmsiError


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pmsi-mobile {__version__}")
        raise typer.Exit


_SHARED = {
    "debug": Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")],
    "version": Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ],
}


def entry_point(command: Callable[..., None]) -> Callable[[], None]:
    """Make a console script of a command function: `main = entry_point(command)`.

    A PmsiError becomes `error: ...` on stderr and its exit code; anything unexpected is one line and exit code 1.
    """

    @functools.wraps(command)
    def guarded(*args: Any, debug: bool = False, version: bool = False, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.Abort):
            raise
        except Interrupted as stop:
            raise _fail(str(stop), stop.exit_code) from None
        except KeyboardInterrupt:
            raise _fail("interrupted", 130) from None
        except Exception as error:
            if debug:
                traceback.print_exc()
            for note in getattr(error, "__notes__", ()):
                say(f"note: {note}", err=True)
            if isinstance(error, PmsiError):
                raise _fail(reason(error), error.exit_code) from None
            hint = "" if debug else " (--debug shows where)"
            raise _fail(f"{reason(error)}{hint}", 1) from None

    signature = inspect.signature(command)
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in _SHARED.items()
    ]
    guarded.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *shared])  # type: ignore[attr-defined]
    guarded.__annotations__ = {**command.__annotations__, **_SHARED}
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(guarded)

    def main() -> None:
        # A closed pipe (`pmsi-eval ... | head`) is not an error.
        # A terminal or a file that takes no such character gets its code, not a UnicodeEncodeError.
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        previous = _terminate_as_interrupt()
        try:
            app()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        finally:
            signal.signal(signal.SIGTERM, previous)

    return main


def _terminate_as_interrupt() -> Any:
    """Let SIGTERM end this process as Ctrl-C does, so that temporary files go and what can be saved is; returns the
    handler before."""
    owner = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            raise Interrupted(number, "terminated")
        signal.signal(number, signal.SIG_DFL)  # A forked child has none of this.
        os.kill(os.getpid(), number)

    return signal.signal(signal.SIGTERM, handle)


def _fail(message: str, code: int) -> typer.Exit:
    say(f"error: {message}", err=True)
    return typer.Exit(code)
