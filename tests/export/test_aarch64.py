"""LiteRT and ONNX Runtime run exported files as aarch64, and their outputs pass the gates."""

import os
from pathlib import Path

import numpy as np
import pytest

from pmsi_export.checks.gates import GATES, agreement
from pmsi_export.formats.open import read_contract
from tests.export.aarch64 import SUFFIXES, VARIABLE, probabilities, runner_of, why_not

REASON = why_not(os.environ.get(VARIABLE))
FOLDER = Path(__file__).parent / "fixtures" / "v1"
MODELS = sorted(path for path in FOLDER.iterdir() if path.suffix in SUFFIXES)


@pytest.mark.skipif(REASON is not None, reason=REASON or "")
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_outputs_as_aarch64_pass_the_gate(model: Path):
    with np.load(FOLDER / "golden.npz") as recorded:
        images, reference, here = recorded["images"], recorded["probabilities"], recorded[model.name]
    given = probabilities(Path(os.environ[VARIABLE]), model, images)
    precision = read_contract(model).precision
    assert GATES[precision].misses(agreement(runner_of(given), images, reference)) == []
    # What x86 gave: kernels round otherwise, a step of int8 is 1/256.
    assert np.abs(given - here).max() <= (1e-4 if precision == "fp32" else 0.03)


def test_reason_says_what_to_do(tmp_path: Path):
    assert "tests.export.aarch64 fetch FOLDER" in why_not(None)
    assert f"fetch {tmp_path}" in why_not(str(tmp_path))
