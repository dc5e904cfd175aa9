"""Files that an earlier version wrote are read by this one. `fixtures/make.py` made them."""

from pathlib import Path

import numpy as np
import pytest

from pmsi_export.formats.open import load_file, read_contract
from pmsi_export.formats.registry import FORMATS
from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.files import sha256, size_bytes

FOLDER = Path(__file__).parent / "fixtures" / "v1"
MODELS = sorted(path for known in FORMATS.values() for path in FOLDER.glob(f"*{known.suffix}"))


@pytest.fixture(scope="module")
def golden():
    with np.load(FOLDER / "golden.npz") as recorded:
        return dict(recorded)


def test_every_format_is_kept():
    assert {model.suffix for model in MODELS} == {known.suffix for known in FORMATS.values()}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_contract_is_read_and_is_the_files_own(model):
    contract = read_contract(model)
    assert contract.parity.status == "passed"
    assert contract.checkpoint_sha256 == sha256(FOLDER / "ckpt.pt")
    assert contract.classes == load_checkpoint(FOLDER / "ckpt.pt").classes
    assert model.stem == ("ckpt" if contract.precision == "fp32" else f"ckpt-{contract.precision}")
    assert size_bytes(model) < 700_000


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_probabilities_are_those_of_then(model, golden):
    runner = load_file(model)
    probabilities = np.stack([runner.predict(image) for image in golden["images"]])
    # Kernels of another processor round otherwise: a step of int8 is 1/256.
    tolerance = 1e-4 if read_contract(model).precision == "fp32" else 0.03
    assert np.abs(probabilities - golden[model.name]).max() <= tolerance


def test_the_checkpoint_gives_the_probabilities_of_then(golden):
    from pmsi_export.runtime.reference import reference_runner

    runner = reference_runner(load_checkpoint(FOLDER / "ckpt.pt"))
    probabilities = np.stack([runner.predict(image) for image in golden["images"]])
    assert np.abs(probabilities - golden["probabilities"]).max() <= 1e-4
