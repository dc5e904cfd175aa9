"""The runs of a plan on a Ray cluster, which schedules them, and again those whose worker died."""

import logging
import os
import platform
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.queue import Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pmsi_mobile.console.reasons import reason
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.experiments.execute import UNTAUGHT, RunFailed, execute, split_record
from pmsi_mobile.experiments.locks import alone
from pmsi_mobile.experiments.plan import Run

RETRIES = 3
"""How often a run is taken up again whose worker or machine died."""


def run_all(
    runs: Sequence[Run],
    root: Path,
    data: Path,
    address: str,
    *,
    started: Callable[[Run], None],
    ended: Callable[[Run, str | None], None],
) -> None:
    """Train `runs` on the Ray cluster at `address` (`local`: one of this machine's own), each on a GPU, or on a core
    where the cluster has no GPU, a run after those that it learns from.

    `root`, `data` and the current folder are where they are here on all machines. `started` is told of a run when a
    worker begins it, so again when another one takes it up; `ended` with the reason where it failed. An interrupt ends
    all processes, which save their state.
    Raises PmsiError where there is no cluster, and while another process trains runs in `root`.
    """
    with alone(root), _cluster(address):
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        begun = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        room: dict[str, Any] = {"num_gpus": 1} if ray.cluster_resources().get("GPU") else {"num_cpus": 1}
        task = ray.remote(max_retries=RETRIES, **room)(_train)
        tasks: dict[Path, Any] = {}
        for run in runs:
            needed = [tasks[folder] for folder in run.needs if folder in tasks]
            tasks[run.folder] = task.options(name=run.title).remote(run, root, data, Path.cwd(), begun, *needed)
        _follow({tasks[run.folder]: run for run in runs}, begun, started, ended)


def _follow(
    tasks: dict[Any, Run],
    begun: Queue,
    started: Callable[[Run], None],
    ended: Callable[[Run, str | None], None],
) -> None:
    """Tell of the runs until all have ended; cancel those that are left when this is stopped."""
    failed: set[Path] = set()
    waiting = list(tasks)
    try:
        while waiting:
            finished, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=0)
            for run in begun.get_nowait_batch(begun.size()):
                started(run)
            for task in finished:
                run = tasks[task]
                why = _failure(task)
                if why:
                    # Ray gives the error of a task to those that wait for its result.
                    why = UNTAUGHT if failed.intersection(run.needs) else why
                    failed.add(run.folder)
                ended(run, why)
            time.sleep(0.5)  # Not in ray.wait(), where SIGTERM is taken for Ctrl-C.
    finally:
        for task in waiting:
            ray.cancel(task)
        ray.wait(waiting, num_returns=len(waiting))


def _failure(task: Any) -> str | None:
    try:
        ray.get(task)
    except RayTaskError as error:
        return str(error.cause) if isinstance(error.cause, RunFailed) else reason(error.cause)
    except RayError as error:
        return reason(error)
    return None


def _train(run: Run, root: Path, data: Path, folder: Path, begun: Queue, *needed: None) -> None:
    """What a worker does. folder: the current one of the command; needed: results that Ray waits for."""
    # Ray cancels a task as Ctrl-C would, which may be ignored here: nohup's children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    begun.put(run)
    for path in (folder, folder / data, folder / split_record(root, run.fold)):
        if not path.exists():
            raise RunFailed(
                f"{platform.node()} has no {path}: photos, sweep and the current folder must be on a file system that "
                "all machines share"
            )
    os.chdir(folder)
    execute(run, root, data)


@contextmanager
def _cluster(address: str) -> Iterator[None]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Runs leave their results in files: the smallest object store will do.
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 10**8} if address == "local" else {}
    terminate = signal.getsignal(signal.SIGTERM)
    host, _, port = address.rpartition(":")
    try:
        if host:  # Ray itself would try for many minutes.
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:
        raise PmsiError(
            f"no Ray cluster at '{address}': {reason(error)} (start one with: ray start --head, or pass --ray local)"
        ) from None
    finally:
        signal.signal(signal.SIGTERM, terminate)  # Ray's own handler ends the process where it stands.
    try:
        yield
    finally:
        ray.shutdown()
