from pathlib import Path

from pmsi_export.worker import Failure, Job, export_apart


def test_a_failure_comes_back_as_its_reason(tmp_path: Path):
    outcome = export_apart(Job(tmp_path / "gone.pt", "torchscript", tmp_path / "gone.ptl", True, None))
    assert outcome == Failure(f"checkpoint {tmp_path / 'gone.pt'} does not exist")
