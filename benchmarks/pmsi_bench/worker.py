"""One model file in a process of its own: `python -m pmsi_bench.worker FILE --threads N --side PIXELS`.

The process answers one JSON object a line. First, unasked, `{"load_ms": .., "first_inference_ms": ..}`, or
`{"error": .., "not_runnable": ..}` and the end. Then for each line `run N` on stdin `{"latencies_ns": [..]}`, until
`quit` or the end of stdin.
"""

import argparse
import gc
import json
import os
import sys
from pathlib import Path
from time import perf_counter_ns
from typing import Any, TextIO

from pmsi_export.registry import format_of, load_file
from pmsi_export.runner import Image, NotRunnable, Runner
from pmsi_mobile.errors import PmsiError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pmsi_bench.worker")
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--side", type=int, required=True)
    arguments = parser.parse_args()
    answers = _claim_stdout()
    try:
        serve(arguments.model, arguments.threads, arguments.side, answers)
    except NotRunnable as error:
        _say(answers, error=error.reason, not_runnable=True)
    except PmsiError as error:
        _say(answers, error=str(error), not_runnable=False)


def serve(model: Path, threads: int, side: int, answers: TextIO) -> None:
    """Load `model`, then obey stdin. Raises PmsiError when the file cannot be loaded or run here."""
    known = format_of(model)
    if known.runtime_here != known.runtime:
        raise NotRunnable(
            model, f"{known.runtime} does not exist on this system, and the {known.runtime_here} gives no latencies"
        )
    # The runtime's libraries are imported by the first load: the second one is the file's own time.
    load_file(model, threads, verify=False)
    started = perf_counter_ns()
    runner = load_file(model, threads, verify=False)
    loaded = perf_counter_ns()
    native = runner.prepare(photo_like(side))
    [first] = burst(runner, native, 1)
    _say(answers, load_ms=(loaded - started) / 1e6, first_inference_ms=first / 1e6)
    for line in sys.stdin:
        verb, *rest = line.split()
        if verb == "quit":
            return
        _say(answers, latencies_ns=burst(runner, native, int(rest[0])))


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


def _claim_stdout() -> TextIO:
    """The real stdout for the answers alone: whatever a runtime prints goes to stderr."""
    sys.stdout.flush()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _say(answers: TextIO, **message: Any) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
