"""How many multiply-accumulates a second this machine's cores can do: `python -m pmsi_bench.host.roofline`.

The largest rate over several float32 matrix products with NumPy's library. A file's rate is compared with it.
"""

import os
import subprocess
import sys
import time

SIDE = 1536
SECONDS = 1.0


def peak_macs_per_second(threads: int) -> float:
    """Measured in a process of its own, whose library takes its threads from the environment."""
    count = str(threads)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, count)}
    command = [sys.executable, "-P", "-m", "pmsi_bench.host.roofline"]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def _measure() -> float:
    import numpy as np

    random = np.random.default_rng(0)
    left, right = (random.standard_normal((SIDE, SIDE), dtype=np.float32) for _ in range(2))
    out = np.empty_like(left)
    best = float("inf")
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        started = time.perf_counter()
        np.matmul(left, right, out=out)
        best = min(best, time.perf_counter() - started)
    return SIDE**3 / best


if __name__ == "__main__":
    print(_measure())
