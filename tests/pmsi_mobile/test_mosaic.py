import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pmsi_mobile.augmentations.mosaic import jigsaw, recursive_mosaic

SIZES = st.sampled_from([8, 16, 24, 32])
SHUFFLES = st.sampled_from(["cycle", "permutation"])
DRAWS = st.sampled_from(["batch", "sample"])


def numbered(batch: int, height: int, width: int) -> torch.Tensor:
    """A batch whose pixels are all different within an image and alike across images."""
    return torch.arange(3 * height * width).reshape(1, 3, height, width).repeat(batch, 1, 1, 1)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def quarters(image: torch.Tensor) -> list[torch.Tensor]:
    height, width = image.shape[-2] // 2, image.shape[-1] // 2
    return [image[..., y : y + height, x : x + width] for y in (0, height) for x in (0, width)]


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, st.integers(0, 3), SHUFFLES, DRAWS, st.integers(0, 2**31))
def test_pixels_are_a_permutation_that_keeps_channels(height, width, r, shuffle, draw, seed):
    images = numbered(2, height, width)
    mosaic = recursive_mosaic(images, r, shuffle=shuffle, draw=draw, generator=seeded(seed))
    assert mosaic.shape == images.shape
    for before, after in zip(images.flatten(2), mosaic.flatten(2), strict=True):
        assert torch.equal(before.sort(dim=-1).values, after.sort(dim=-1).values)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), SHUFFLES, st.integers(0, 2**31))
def test_each_level_leaves_three_quarters_of_the_one_before_untouched(r, shuffle, seed):
    """G(x, r) and G(x, r - 1) under one seed differ in a single tile of the level r - 1, at most."""
    images = numbered(1, 32, 32)
    coarse = recursive_mosaic(images, r - 1, shuffle=shuffle, generator=seeded(seed))
    fine = recursive_mosaic(images, r, shuffle=shuffle, generator=seeded(seed))
    changed = (coarse != fine).flatten(0, 1).any(0)
    side = 32 // 2 ** (r - 1)
    if shuffle == "cycle":
        assert changed.sum() == side * side
    ys, xs = changed.nonzero(as_tuple=True)
    if len(ys):
        assert ys.max() // side == ys.min() // side
        assert xs.max() // side == xs.min() // side


def test_no_recursion_is_the_identity():
    images = numbered(2, 9, 7)
    assert torch.equal(recursive_mosaic(images, 0), images)


@given(st.integers(0, 2**31), DRAWS)
@settings(max_examples=20, deadline=None)
def test_a_seed_draws_the_same_mosaic_again_and_the_input_is_not_changed(seed, draw):
    images = numbered(3, 16, 16)
    first = recursive_mosaic(images, 2, draw=draw, generator=seeded(seed))
    assert torch.equal(first, recursive_mosaic(images, 2, draw=draw, generator=seeded(seed)))
    assert torch.equal(images, numbered(3, 16, 16))


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_one_draw_per_batch_treats_all_samples_alike(seed):
    mosaic = recursive_mosaic(numbered(4, 16, 16), 3, generator=seeded(seed))
    assert all(torch.equal(mosaic[0], other) for other in mosaic[1:])


def test_one_draw_per_sample_gives_samples_their_own():
    mosaic = recursive_mosaic(numbered(16, 16, 16), 3, draw="sample", generator=seeded(0))
    assert len({tuple(image.flatten().tolist()) for image in mosaic}) > 8


@given(st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_a_cycle_leaves_no_tile_in_place_and_returns_after_four_steps(seed):
    image = numbered(1, 8, 8)
    mosaic = recursive_mosaic(image, 1, generator=seeded(seed))
    assert not any(torch.equal(a, b) for a, b in zip(quarters(image), quarters(mosaic), strict=True))
    cycled = image
    for step in range(4):
        cycled = recursive_mosaic(cycled, 1, generator=seeded(seed))
        assert torch.equal(cycled, image) == (step == 3)


def test_both_shuffles_reach_all_their_permutations():
    image = numbered(1, 2, 2)
    for shuffle, expected in (("cycle", 6), ("permutation", 24)):
        generator = seeded(0)
        seen = {
            tuple(recursive_mosaic(image, 1, shuffle=shuffle, generator=generator)[0, 0].flatten().tolist())
            for _ in range(400)
        }
        assert len(seen) == expected


def test_memory_format_and_dtype_survive():
    images = torch.randint(0, 255, (2, 3, 16, 16), dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    mosaic = recursive_mosaic(images, 2)
    assert mosaic.dtype == torch.uint8
    assert mosaic.is_contiguous(memory_format=torch.channels_last)


def test_a_side_that_cannot_be_halved_often_enough_is_an_error():
    with pytest.raises(ValueError, match="sides must be divisible by 8"):
        recursive_mosaic(numbered(1, 16, 20), 3)


def test_more_than_three_recursions_must_be_asked_for():
    with pytest.raises(ValueError, match="allow_deep"):
        recursive_mosaic(numbered(1, 16, 16), 4)
    assert recursive_mosaic(numbered(1, 16, 16), 4, allow_deep=True).shape == (1, 3, 16, 16)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([2, 4, 8]), SHUFFLES, DRAWS, st.integers(0, 2**31))
def test_a_jigsaw_moves_whole_tiles(side, shuffle, draw, seed):
    images = numbered(2, 16, 32)
    puzzle = jigsaw(images, side, shuffle=shuffle, draw=draw, generator=seeded(seed))

    def tiles(image):
        return [tile for row in image.chunk(side, 1) for tile in row.chunk(side, 2)]

    for before, after in zip(images, puzzle, strict=True):
        found = [[torch.equal(tile, other) for other in tiles(before)].index(True) for tile in tiles(after)]
        assert sorted(found) == list(range(side * side))
        if shuffle == "cycle":
            place, length = found[0], 1
            while place != 0:
                place, length = found[place], length + 1
            assert length == side * side
    assert torch.equal(images, numbered(2, 16, 32))


def test_a_jigsaw_keeps_the_memory_format_and_refuses_what_cannot_be_cut():
    images = torch.zeros(2, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    assert jigsaw(images, 4).is_contiguous(memory_format=torch.channels_last)
    with pytest.raises(ValueError, match="sides must be divisible by 8"):
        jigsaw(numbered(1, 16, 20), 8)
