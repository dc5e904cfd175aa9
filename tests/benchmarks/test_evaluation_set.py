"""The photos that accuracy is measured on: none that a run beside the files was trained on."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pmsi_bench.host.accuracy import evaluation_set
from pmsi_mobile.data.splits import open_data, save_data


def add_photos(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / f"{seed}-{number}.png")


@pytest.mark.parametrize("seed", [0, 3])
def test_photos_that_the_run_beside_a_file_was_trained_on_are_left_out(tmp_path, seed):
    photos, run = tmp_path / "photos", tmp_path / "run"
    for number, name in enumerate(("a", "b")):
        add_photos(photos / name, 30, number)
    data = open_data(photos, val_fraction=0.1, test_fraction=0.1, seed=seed)
    save_data(data, run / "data.json")
    for number, name in enumerate(("a", "b"), 10):
        add_photos(photos / name, 20, number)
    subject = SimpleNamespace(
        name="ckpt.tflite",
        format="tflite",
        function=SimpleNamespace(classes=("a", "b")),
        job=SimpleNamespace(model=run / "ckpt.tflite"),
    )
    found, notes = evaluation_set(photos, [subject])
    assert {photo.digest for photo in data.test} < {photo.digest for photo in found}
    assert not {photo.digest for photo in data.train} & {photo.digest for photo in found}
    # Another seed's run: the default draw would have tested what it was trained on.
    assert any("that the run was trained on" in note for note in notes) == (seed == 3)
