"""Which tests `make quick` leaves out: those that convert, train, compile or start many processes.

Files by their place below `tests/`, and whatever uses one of the fixtures; a single test is marked `slow` where it is.
"""

from pathlib import Path

import pytest

FILES = {
    "test_end_to_end.py",
    "test_from_python.py",
    "android_demo/test_app.py",
    "benchmarks/phone/test_faults.py",
    "benchmarks/phone/test_tool.py",
    "benchmarks/test_accuracy.py",
    "benchmarks/test_bench.py",
    "benchmarks/test_measure.py",
    "benchmarks/test_web.py",
    "export/test_clients.py",
    "export/test_commands.py",
    "export/test_compress.py",
    "export/test_coreml.py",
    "export/test_evidence.py",
    "export/test_faults.py",
    "export/test_fold.py",
    "export/test_graph.py",
    "export/test_half.py",
    "export/test_int8.py",
    "export/test_interrupted.py",
    "export/test_lean.py",
    "export/test_mil.py",
    "export/test_other_methods.py",
    "export/test_pair_sums.py",
    "export/test_quantise.py",
    "export/test_web_browser.py",
    "export/test_unknown.py",
    "export/test_worker.py",
    "pmsi_mobile/test_augmentations.py",
    "pmsi_mobile/test_batch_norm.py",
    "pmsi_mobile/test_calibrate.py",
    "pmsi_mobile/test_commands.py",
    "pmsi_mobile/test_learning.py",
    "pmsi_mobile/test_methods.py",
    "pmsi_mobile/test_recipe.py",
    "pmsi_mobile/test_reproduce.py",
    "pmsi_mobile/test_resuming.py",
    "pmsi_mobile/test_schedule.py",
    "pmsi_mobile/test_speed.py",
    "pmsi_mobile/test_starting.py",
    "pmsi_mobile/test_sweep.py",
    "pmsi_mobile/test_sweep_on_ray.py",
    "pmsi_mobile/test_training.py",
}
FIXTURES = {"exported", "shared"}
"""Every format of a checkpoint; real photos."""


def is_left_out(path: Path, config: pytest.Config) -> bool:
    """Whether a file need not even be imported."""
    return config.option.markexpr == "not slow" and _place(path) in FILES


def mark(items: list[pytest.Item]) -> None:
    """Mark the slow ones, and put their files first: what is left when a process runs out of files is short then."""
    for item in items:
        uses = FIXTURES & set(getattr(item, "fixturenames", ()))
        if uses or _place(item.path) in FILES:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: _place(item.path) not in FILES)


def _place(path: Path) -> str:
    return path.relative_to(Path(__file__).parent).as_posix()
