import hashlib
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pmsi_mobile.commands.birds import main
from pmsi_mobile.data.birds import MAX_SPECIES, Species, choose_species, draw_bird, write_birds
from pmsi_mobile.data.splits import open_data
from pmsi_mobile.errors import PmsiError

SMALL = {"species": 2, "train": 2, "val": 1, "test": 1, "size": 48, "seed": 0}
PLAIN = Species("short", "no", "no", "smooth", "round")


def digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@settings(max_examples=20, deadline=None)
@given(st.integers(2, MAX_SPECIES), st.integers(0, 2**32))
def test_species_differ_in_a_part_and_have_names_that_can_be_folders(count, seed):
    species = choose_species(count, seed)
    assert len({bird.name.lower() for bird in species}) == count
    assert all(first != second for first, second in itertools.combinations(species, 2))
    assert all(bird.name.replace("-", "").isalnum() for bird in species)
    assert species == choose_species(count, seed)
    assert [bird.name for bird in species] == sorted(bird.name for bird in species)


@pytest.mark.parametrize(
    "other",
    [
        Species("hooked", "no", "no", "smooth", "round"),
        Species("short", "red", "no", "smooth", "round"),
        Species("short", "no", "1white", "smooth", "round"),
        Species("short", "no", "no", "spiky", "round"),
        Species("short", "no", "no", "smooth", "fan"),
    ],
)
def test_two_species_differ_inside_their_masks_and_nowhere_else(other):
    """Same pose, plumage and light: away from the parts (and their outlines) the pixels are the same."""
    for seed in range(5):
        plain, changed = (draw_bird(species, np.random.default_rng(seed), 96) for species in (PLAIN, other))
        differs = (plain.image != changed.image).any(2)
        parts = plain.mask | changed.mask
        near = np.lib.stride_tricks.sliding_window_view(np.pad(parts, 3), (7, 7)).any((2, 3))
        assert (differs & parts).sum() >= 12
        assert not (differs & ~near).any()


def test_body_colour_tells_nothing_about_the_species():
    """The plumage of a photo follows from its random state alone."""
    for seed in range(5):
        images = [draw_bird(bird, np.random.default_rng(seed), 64).image for bird in choose_species(4, 0)]
        unmarked = np.ptp(np.stack(images).astype(int), axis=0).max(2) == 0
        assert unmarked.mean() > 0.6


def test_masks_cover_a_small_visible_part_of_the_picture():
    for seed, bird in enumerate(choose_species(12, 0)):
        image, mask = draw_bird(bird, np.random.default_rng(seed), 96)
        assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((96, 96, 3), np.uint8, (96, 96), np.bool_)
        assert 0.005 < mask.mean() < 0.2


def test_the_same_arguments_write_the_same_bytes(tmp_path):
    for name in ("first", "second"):
        write_birds(tmp_path / name, **SMALL)
    assert digests(tmp_path / "first") == digests(tmp_path / "second")
    write_birds(tmp_path / "third", **SMALL | {"seed": 1})
    assert digests(tmp_path / "first").items().isdisjoint(digests(tmp_path / "third").items())


def test_the_written_set_opens_as_split_folders(tmp_path):
    species = write_birds(tmp_path / "birds", **SMALL)
    data = open_data(tmp_path / "birds", val_fraction=0.1, test_fraction=0.1, seed=0)
    assert data.layout == "split folders"
    assert data.classes == tuple(bird.name for bird in species)
    assert (len(data.train), len(data.val), len(data.test)) == (4, 2, 2)
    assert data.notes == ("ignored folder masks: not train, val or test",)
    photo = data.train[0].path
    mask = tmp_path / "birds" / "masks" / photo.relative_to(tmp_path / "birds").with_suffix(".png")
    assert Image.open(mask).size == Image.open(photo).size
    recorded = json.loads((tmp_path / "birds" / "birds.json").read_text())["species"]
    assert Species(**recorded[data.classes[0]]) == species[0]


def test_the_same_set_is_left_alone_and_anything_else_is_refused(tmp_path):
    root = tmp_path / "birds"
    root.mkdir()
    write_birds(root, **SMALL)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    write_birds(root, **SMALL)
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    with pytest.raises(PmsiError, match="birds holds something else: choose a new folder"):
        write_birds(root, **SMALL | {"train": 3})


@pytest.mark.parametrize("count", [1, MAX_SPECIES + 1])
def test_too_few_or_too_many_species_are_refused(tmp_path, count):
    with pytest.raises(PmsiError, match="choose 2 to 64"):
        write_birds(tmp_path / "birds", **SMALL | {"species": count})


def test_an_interrupted_run_leaves_nothing(tmp_path):
    def interrupt(done: int, total: int) -> None:
        assert total == 8
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_birds(tmp_path / "birds", **SMALL, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_the_set_and_says_what_comes_next(tmp_path, monkeypatch, capfd):
    root = tmp_path / "birds"
    options = ["--species", "2", "--train", "1", "--val", "0", "--test", "0", "--size", "32"]
    monkeypatch.setattr(sys, "argv", ["pmsi-birds", str(root), *options])
    with pytest.raises(SystemExit) as done:
        main()
    output = capfd.readouterr()
    assert done.value.code == 0
    assert output.out.splitlines()[-1] == f"next: pmsi-train {root}"
    assert output.err == ""
    assert len(list((root / "train").rglob("*.jpg"))) == 2
    assert not (root / "val").exists()


def test_the_command_refuses_in_one_line(tmp_path, monkeypatch, capfd):
    (tmp_path / "mine.txt").write_text("")
    monkeypatch.setattr(sys, "argv", ["pmsi-birds", str(tmp_path)])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 2
    assert capfd.readouterr().err == f"error: {tmp_path} holds something else: choose a new folder, or remove it\n"
