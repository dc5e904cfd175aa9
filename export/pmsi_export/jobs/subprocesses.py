"""Runs an export in a process of its own: a converter that crashes ends neither the command nor other exports."""

import os
import shutil
import signal
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import active_children, get_context, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pmsi_export.graph.variant import Variant
from pmsi_export.jobs.job import Exported, Job
from pmsi_export.jobs.staging import remove_abandoned
from pmsi_export.runtime.silence import silenced
from pmsi_mobile.console.reasons import reason
from pmsi_mobile.errors import PmsiError

FULL_DISK = 1 << 20
"""A disk with fewer free bytes is called full."""


@dataclass(frozen=True)
class Failure:
    """Why there is no file."""

    reason: str


def export_apart(job: Job) -> Exported | Failure:
    """Run one export in a new process and wait for it.

    The converters' chatter goes to `<target>.log`, which is kept only when there is no file.
    """
    return _apart(_export, job, log=job.target.with_name(f"{job.target.name}.log"))


def prepare_int8_apart(
    checkpoint: Path, variant: Variant, photos: Sequence[Path], path: Path, paired_sums: bool
) -> Failure | None:
    """`exporter.prepare_int8` in a new process."""
    return _apart(_prepare_int8, checkpoint, variant, photos, path, paired_sums, log=path.with_name(f"{path.name}.log"))


def silence_tracker() -> None:
    """To be called before the first process, while there is one thread."""
    # Python's tracker of semaphores would report those of converters that died on stderr, after our last line.
    with silenced():
        resource_tracker.ensure_running()


def stop_all() -> bool:
    """End all processes that are at work; whether there were any."""
    processes = active_children()
    for process in processes:
        process.terminate()
    return bool(processes)


def _export(job: Job) -> Exported:
    from pmsi_export.jobs.exporter import export

    return export(job)


def _prepare_int8(checkpoint: Path, variant: Variant, photos: Sequence[Path], path: Path, paired_sums: bool) -> None:
    from pmsi_export.jobs.exporter import prepare_int8

    prepare_int8(checkpoint, variant, photos, path, paired_sums=paired_sums)


def _apart(work: Callable[..., Any], *arguments: Any, log: Path) -> Any:
    """What `work(*arguments)` returns in a new process, or a Failure. Both streams of the process go to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(work, arguments, log, sender), daemon=True)
    process.start()
    # With our copy closed, the end of the process is the end of the pipe.
    sender.close()
    try:
        outcome = receiver.recv()
    except EOFError:
        process.join()
        outcome = Failure(f"the converter {_how_it_ended(process.exitcode, log)}; its output is in {log}")
        remove_abandoned(log.parent)
    else:
        process.join()
    if not isinstance(outcome, Failure):
        log.unlink(missing_ok=True)
    return outcome


def _answer(work: Callable[..., Any], arguments: tuple[Any, ...], log: Path, sender: Connection) -> None:
    # The file descriptors, for converters write from C++ too; before the heavy imports, for those greet.
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    except OSError as error:
        sender.send(Failure(f"{log.parent} cannot be written to ({error.strerror}): choose another --output"))
        return
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    try:
        sender.send(work(*arguments))
    except PmsiError as error:
        sender.send(Failure(str(error)))
    except Exception as error:
        sender.send(Failure(f"{reason(error)[:300]}; the converter's output is in {log}"))
        # Last: it fails where the disk is full.
        traceback.print_exc()


def _how_it_ended(code: int | None, log: Path) -> str:
    """With the likely reason: a converter in C++ aborts, and a full disk has no room for its last words."""
    if shutil.disk_usage(log.parent).free < FULL_DISK:
        why = f" (no space left on the disk of {log.parent}: make room)"
    elif code == -signal.SIGKILL:
        why = " (out of memory?)"
    else:
        why = ""
    if code is None or code >= 0:
        return f"ended with status {code}{why}"
    return f"was killed by {signal.Signals(-code).name}{why}"
