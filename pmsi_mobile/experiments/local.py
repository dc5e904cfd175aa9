"""The runs of a plan side by side on this machine."""

import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from pmsi_mobile.experiments.execute import UNTAUGHT, RunFailed, execute
from pmsi_mobile.experiments.locks import alone
from pmsi_mobile.experiments.plan import Run


def run_all(
    runs: Sequence[Run],
    root: Path,
    data: Path,
    jobs: int,
    *,
    started: Callable[[Run], None],
    ended: Callable[[Run, str | None], None],
) -> None:
    """Train `runs`, `jobs` at a time with one thread each, a run after those that it learns from.

    `started` and `ended` are told of each run, `ended` with the reason where it failed; a run whose teacher failed is
    told so and not trained. An interrupt ends all processes, which save their state.
    Raises PmsiError while another process trains runs in `root`.
    """
    with alone(root), ThreadPoolExecutor(jobs) as pool:
        processes: list[subprocess.Popen[bytes]] = []
        try:
            _schedule(
                runs, jobs, lambda run: pool.submit(execute, run, root, data, started=processes.append), started, ended
            )
        finally:
            for process in processes:
                process.terminate()


def _schedule(
    runs: Sequence[Run],
    jobs: int,
    submit: Callable[[Run], Future[None]],
    started: Callable[[Run], None],
    ended: Callable[[Run, str | None], None],
) -> None:
    waiting = list(runs)
    undone = {run.folder for run in runs}
    failed: set[Path] = set()
    futures: dict[Future[None], Run] = {}
    while waiting or futures:
        for run in [run for run in waiting if failed.intersection(run.needs)]:
            waiting.remove(run)
            failed.add(run.folder)
            ended(run, UNTAUGHT)
        ready = [run for run in waiting if not undone.intersection(run.needs)]
        for run in ready[: jobs - len(futures)]:
            waiting.remove(run)
            started(run)
            futures[submit(run)] = run
        finished, _ = wait(futures, return_when=FIRST_COMPLETED)
        for future in finished:
            run = futures.pop(future)
            try:
                future.result()
            except RunFailed as error:
                failed.add(run.folder)
                ended(run, str(error))
            else:
                undone.discard(run.folder)
                ended(run, None)
