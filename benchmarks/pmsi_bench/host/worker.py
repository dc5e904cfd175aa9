"""One model file in a process of its own.

`python -m pmsi_bench.host.worker FILE --threads N --side PIXELS [--compiled]`

FILE is an exported file, or a checkpoint, whose folded graph PyTorch then runs. The process answers one JSON object a
line. First, unasked, `{"load_ms": .., "first_inference_ms": .., "memory_bytes": ..}`, or `{"error": ..,
"not_runnable": ..}` and the end. Then for each line on stdin, until `quit` or its end:
`run N`: `{"latencies_ns": [..]}`;
`round N`: the file is opened anew and warmed up before, `{"latencies_ns": [..], "load_ms": ..}`;
`classify FILE.npy` (uint8 [M, side, side, 3]): `{"classes": [..]}`, the most likely of each image;
`describe`: what `diagnose` says of the file, without its path.
"""

import argparse
import gc
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from shutil import which
from time import perf_counter_ns
from typing import Any, TextIO

from pmsi_export.formats.open import load_file
from pmsi_export.formats.registry import format_of, is_exported, loader, require
from pmsi_export.runtime.runner import Image, NotRunnable, Runner
from pmsi_mobile.errors import PmsiError

WARM_UP = 3
"""Inferences after a file has been opened anew."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pmsi_bench.host.worker")
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--compiled", action="store_true")
    arguments = parser.parse_args()
    answers = claim_stdout()
    try:
        if is_exported(arguments.model):
            served = Served(arguments.model, _exported(arguments.model, arguments.threads), True)
        else:
            served = Served(arguments.model, _pytorch(arguments.model, arguments.threads, arguments.compiled), False)
        serve(served, arguments.side, answers)
    except NotRunnable as error:
        say(answers, error=error.reason, not_runnable=True)
    except PmsiError as error:
        say(answers, error=str(error), not_runnable=False)


class Served:
    """A file and how to open it. reopens: whether that is quick enough to be done in every round."""

    def __init__(self, model: Path, opener: Callable[[], Runner], reopens: bool) -> None:
        self.model = model
        self.opener = opener
        self.reopens = reopens
        self.load_ms = 0.0

    def open(self) -> Runner:
        started = perf_counter_ns()
        runner = self.opener()
        self.load_ms = (perf_counter_ns() - started) / 1e6
        return runner


def serve(served: Served, side: int, answers: TextIO) -> None:
    """Open the file, then obey stdin. Raises PmsiError when it cannot be opened or run here."""
    image = photo_like(side)
    idle = _start_peak()
    runner = served.open()
    native = runner.prepare(image)
    [first] = burst(runner, native, 1)
    memory = None if idle is None else max(_peak() - idle, 0)
    say(answers, load_ms=served.load_ms, first_inference_ms=first / 1e6, memory_bytes=memory)
    for line in sys.stdin:
        verb, *rest = line.split(maxsplit=1)
        if verb == "quit":
            return
        if verb == "round":
            if served.reopens:
                # Where in memory a file lies changes its latency by several per cent: every round loads it elsewhere.
                del runner, native
                runner = served.open()
                native = runner.prepare(image)
            burst(runner, native, WARM_UP)
            say(answers, latencies_ns=burst(runner, native, int(rest[0])), load_ms=served.load_ms)
        elif verb == "classify":
            say(answers, classes=_classify(runner, Path(rest[0].strip())))
        elif verb == "describe":
            say(answers, **describe(served.model))
        else:
            say(answers, latencies_ns=burst(runner, native, int(rest[0])))


def burst(runner: Runner, native: Any, inferences: int) -> list[int]:
    """Latencies of inferences one after the other, in nanoseconds."""
    latencies = []
    gc.collect()
    gc.disable()
    for _ in range(inferences):
        started = perf_counter_ns()
        runner.run(native)
        latencies.append(perf_counter_ns() - started)
    gc.enable()
    return latencies


def photo_like(side: int) -> Image:
    """The same smooth image with a little noise every time, uint8 [side, side, 3]."""
    import numpy as np
    from PIL import Image as PILImage

    random = np.random.default_rng(0)
    coarse = PILImage.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((side, side), PILImage.Resampling.BICUBIC), dtype=np.float32)
    return np.clip(smooth + random.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def _exported(model: Path, threads: int) -> Callable[[], Runner]:
    """How to open an exported file, its runtime's libraries being imported already."""
    known = format_of(model)
    if known.runtime_here != known.runtime:
        raise NotRunnable(
            model, f"{known.runtime} does not exist on this system, and the {known.runtime_here} gives no latencies"
        )
    require(known, known.run_needs)
    loader(known)
    import_module(known.runtime_module)
    return lambda: load_file(model, threads, verify=False)


def _pytorch(checkpoint: Path, threads: int, compiled: bool) -> Callable[[], Runner]:
    """How to make PyTorch run a checkpoint's folded graph."""
    if compiled and not any(map(which, (os.environ.get("CXX", "g++"), "g++", "clang++"))):
        raise NotRunnable(checkpoint, "torch.compile needs a C++ compiler, and none is installed")
    import torch

    from pmsi_export.graph.fold import fold
    from pmsi_export.runtime.runner import nchw
    from pmsi_mobile.checkpoint import load_checkpoint

    def opener() -> Runner:
        torch.set_num_threads(threads)
        loaded = load_checkpoint(checkpoint)
        config, temperature = loaded.config, loaded.confidence_of().temperature
        graph = fold(loaded.network(), config.preprocessing, config.model.mix, temperature=temperature)
        module = torch.compile(graph) if compiled else graph

        @torch.inference_mode()
        def run(native: torch.Tensor) -> Any:
            return module(native)[0].numpy()

        return Runner(lambda image: torch.from_numpy(nchw(image)), run)

    return opener


def _classify(runner: Runner, images: Path) -> list[int]:
    import numpy as np

    answers = [runner.run(runner.prepare(image)) for image in np.load(images)]
    return [_first_class(answer) for answer in answers]


def _first_class(answer: Any) -> int:
    probabilities, second = answer if isinstance(answer, tuple) else (answer, None)
    # The second output of a top-k file, the classes of the largest probabilities, is of integers.
    return int(probabilities.argmax() if second is None or second.dtype.kind == "f" else second[0])


def describe(model: Path) -> dict[str, Any]:
    """What `diagnose` says of a file, without its path."""
    from pmsi_export.checks.inspect import diagnose, diagnose_checkpoint

    described = asdict(diagnose(model) if is_exported(model) else diagnose_checkpoint(model))
    del described["file"]
    return described


def _start_peak() -> int | None:
    """Bytes resident now; from here on `_peak` counts anew. None where the system does not tell."""
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _status_bytes("VmRSS")


def _peak() -> int:
    """Most bytes resident since `_start_peak`."""
    return _status_bytes("VmHWM")


def _status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def claim_stdout() -> TextIO:
    """The real stdout for the answers alone: whatever a runtime prints goes to stderr."""
    sys.stdout.flush()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def say(answers: TextIO, **message: Any) -> None:
    """One answer, a line of JSON."""
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
