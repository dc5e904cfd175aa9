"""A fine-grained data set that needs no download: drawn birds whose species differ in small parts only.

Plumage, pose, light and background come from one distribution for all species, so that a classifier has to look at
beak, eye ring, wing bars, crest and tail. The drawn pixels of these parts are kept as masks.
"""

import colorsys
import itertools
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from pmsi_mobile.errors import PmsiError

BEAKS = ("short", "long", "hooked", "curved")
EYE_RINGS = ("no", "white", "yellow", "red")
WING_BARS = ("no", "1white", "2white", "3white", "1yellow", "2yellow", "3yellow")
CRESTS = ("smooth", "tufted", "spiky")
TAILS = ("forked", "round", "fan", "long")

MAX_SPECIES = 64

_SUPERSAMPLING = 3
_BLUR = 40  # The background is drawn on this few pixels a side.
_COLOURS = {"white": (250, 250, 245), "yellow": (255, 212, 20), "red": (226, 30, 30)}
_DARK = (22, 20, 24)

Points = np.ndarray
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Species:
    """One value of each part; everything else varies alike in all species."""

    beak: str
    eye_ring: str
    wing_bars: str
    crest: str
    tail: str

    @property
    def name(self) -> str:
        """Unique, and safe as a folder name: `hooked-whitering-2yellowbars-spiky-forked`."""
        return f"{self.beak}-{self.eye_ring}ring-{self.wing_bars}bars-{self.crest}-{self.tail}"


class Bird(NamedTuple):
    """image: uint8 [size, size, 3]; mask: bool [size, size], the visible pixels of the five parts."""

    image: np.ndarray
    mask: np.ndarray


def choose_species(count: int, seed: int) -> tuple[Species, ...]:
    """`count` different combinations of parts, sorted by name: the order that `open_data` gives the classes."""
    combinations = [Species(*parts) for parts in itertools.product(BEAKS, EYE_RINGS, WING_BARS, CRESTS, TAILS)]
    chosen = np.random.default_rng(seed).choice(len(combinations), count, replace=False)
    return tuple(sorted((combinations[index] for index in chosen), key=lambda species: species.name))


def draw_bird(species: Species, rng: np.random.Generator, size: int) -> Bird:
    """Draw one bird of a species on a square of `size` pixels; all that is not its parts comes from `rng`."""
    side = size * _SUPERSAMPLING
    bird = Image.new("RGBA", (side, side))
    parts = Image.new("L", (side, side))
    canvas = _Canvas(ImageDraw.Draw(bird), ImageDraw.Draw(parts), *_pose(rng, side))
    plumage = _plumage(rng)
    _draw_perch(canvas, rng)
    _draw_tail(canvas, species.tail, plumage)
    _draw_crest(canvas, species.crest, plumage)
    _draw_body(canvas, plumage)
    _draw_wing(canvas, species.wing_bars, plumage)
    _draw_beak(canvas, species.beak, plumage)
    _draw_eye(canvas, species.eye_ring)
    scene = _background(rng, size)
    small = bird.reduce(_SUPERSAMPLING)
    scene.paste(small, mask=small.getchannel("A"))
    return Bird(_light(scene, rng), np.asarray(parts.reduce(_SUPERSAMPLING)) > 127)


def write_birds(
    root: Path,
    *,
    species: int,
    train: int,
    val: int,
    test: int,
    size: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Species, ...]:
    """Write the data set `root/{train,val,test}/<species>/NNNN.jpg`, the parts' masks under `root/masks`, birds.json.

    train, val, test: photos per species. The same arguments write the same bytes, and a `root` that already holds
    them is left as it is. Whatever the moment of an interruption, `root` is complete or not there.
    Raises PmsiError for another `root` that is not empty, and for more species than MAX_SPECIES.
    """
    if not 2 <= species <= MAX_SPECIES:
        raise PmsiError(f"{species} species cannot be drawn: choose 2 to {MAX_SPECIES}")
    chosen = choose_species(species, seed)
    counts = {"train": train, "val": val, "test": test}
    record = {"size": size, "seed": seed, **counts, "species": {bird.name: asdict(bird) for bird in chosen}}
    root = root.absolute()
    if _holds(root, record):
        return chosen
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise PmsiError(f"{root} holds something else: choose a new folder, or remove it")
    unfinished = root.with_name(f".{root.name}.{os.getpid()}.tmp")
    total, done = species * sum(counts.values()), 0
    try:
        for (split_index, split), (label, bird) in itertools.product(enumerate(counts), enumerate(chosen)):
            for number in range(counts[split]):
                drawn = draw_bird(bird, np.random.default_rng([seed, split_index, label, number]), size)
                name = f"{split}/{bird.name}/{number:04d}"
                _save(drawn.image, unfinished / f"{name}.jpg")
                _save(drawn.mask, unfinished / "masks" / f"{name}.png")
                done += 1
                if progress:
                    progress(done, total)
        (unfinished / "birds.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        if root.exists():
            root.rmdir()
        unfinished.rename(root)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return chosen


def _holds(root: Path, record: dict[str, object]) -> bool:
    try:
        return bool(json.loads((root / "birds.json").read_text(encoding="utf-8")) == record)
    except (OSError, ValueError):
        return False


def _save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=92)


class _Palette(NamedTuple):
    body: Colour
    belly: Colour
    wing: Colour
    edge: Colour
    beak: Colour


class _Canvas(NamedTuple):
    """Draws in bird coordinates (facing right, y down, about one unit long); parts go to the mask as well.

    unit: pixels per bird unit. matrix [2, 2] and centre [2] take bird coordinates to pixels.
    """

    picture: ImageDraw.ImageDraw
    parts: ImageDraw.ImageDraw
    unit: float
    matrix: np.ndarray
    centre: np.ndarray

    def fill(self, points: Points, colour: Colour, *, edge: Colour | None = None, part: bool = False) -> None:
        """A polygon [N, 2]; it hides what was drawn before it, in the mask too."""
        corners = self._corners(points)
        self.picture.polygon(corners, fill=colour, outline=edge, width=max(1, round(0.014 * self.unit)))
        self.parts.polygon(corners, fill=255 if part else 0)

    def line(self, points: Points, colour: Colour, width: float) -> None:
        """A line [N, 2], `width` in bird units."""
        self.picture.line(self._corners(points), fill=colour, width=max(1, round(width * self.unit)), joint="curve")

    def _corners(self, points: Points) -> list[float]:
        return (points @ self.matrix.T + self.centre).ravel().tolist()


def _pose(rng: np.random.Generator, side: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale in pixels; scale, rotation, lean and mirroring as a matrix; where the bird's centre comes to lie."""
    angle, lean = np.radians(rng.uniform(-14, 14)), rng.uniform(-0.12, 0.12)
    mirror = rng.choice([-1.0, 1.0])
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    unit = side * rng.uniform(0.48, 0.6)
    matrix = unit * rotation @ np.array([[mirror, lean], [0.0, 1.0]])
    centre = side * np.array([0.5 + 0.06 * mirror, 0.5]) + side * rng.uniform(-0.05, 0.05, 2)
    return unit, matrix, centre


def _plumage(rng: np.random.Generator) -> _Palette:
    hue, saturation, value = rng.random(), rng.uniform(0.25, 0.7), rng.uniform(0.5, 0.8)
    body = _hsv(hue, saturation, value)
    return _Palette(
        body=body,
        belly=_blend(body, (250, 240, 222), rng.uniform(0.45, 0.75)),
        wing=_hsv(hue, saturation, value * rng.uniform(0.42, 0.55)),
        edge=_hsv(hue, saturation, value * 0.35),
        beak=_hsv(rng.uniform(0.05, 0.12), rng.uniform(0.15, 0.85), rng.uniform(0.3, 0.9)),
    )


def _draw_perch(canvas: _Canvas, rng: np.random.Generator) -> None:
    bark = _hsv(rng.uniform(0.05, 0.1), rng.uniform(0.25, 0.5), rng.uniform(0.25, 0.5))
    slope = rng.uniform(-0.06, 0.06)
    x = np.linspace(-2.5, 2.5, 12)
    y = 0.47 + slope * x + rng.uniform(-0.012, 0.012, len(x))
    canvas.line(np.stack([x, y], 1), bark, rng.uniform(0.07, 0.11))
    canvas.line(np.stack([x, y - 0.02], 1), _blend(bark, (255, 255, 255), 0.2), 0.015)
    for foot in (0.02, 0.15):
        canvas.line(np.array([[foot - 0.03, 0.25], [foot, 0.38], [foot + 0.02, 0.45]]), _DARK, 0.026)
        canvas.line(np.array([[foot - 0.05, 0.46], [foot + 0.02, 0.435], [foot + 0.08, 0.46]]), _DARK, 0.026)


def _draw_tail(canvas: _Canvas, tail: str, plumage: _Palette) -> None:
    outline, feathers = _TAILS[tail]
    canvas.fill(_on_tail(outline), plumage.wing, edge=plumage.edge, part=True)
    for feather in feathers:
        canvas.line(_on_tail(feather), plumage.edge, 0.012)


def _draw_crest(canvas: _Canvas, crest: str, plumage: _Palette) -> None:
    if crest != "smooth":
        canvas.fill(_CRESTS[crest], plumage.wing, edge=plumage.edge, part=True)


def _draw_body(canvas: _Canvas, plumage: _Palette) -> None:
    canvas.fill(_BODY, plumage.body, edge=plumage.edge)
    canvas.fill(_BELLY, plumage.belly)


def _draw_wing(canvas: _Canvas, bars: str, plumage: _Palette) -> None:
    canvas.fill(np.concatenate([_WING_TOP, _WING_BOTTOM[::-1]]), plumage.wing, edge=plumage.edge)
    for start in (0.62, 0.76):
        feather = [_across_wing(start, 0.55), _across_wing(0.99, 0.3 + (start - 0.62) * 4)]
        canvas.line(np.array(feather), plumage.edge, 0.012)
    if bars == "no":
        return
    count, colour = int(bars[0]), _COLOURS[bars[1:]]
    for start in np.array([0.16, 0.34, 0.52])[:count]:
        stop = start + 0.085
        corners = [(start, 0.06), (stop, 0.06), (stop + 0.05, 0.5), (stop, 0.94), (start, 0.94), (start + 0.05, 0.5)]
        canvas.fill(np.array([_across_wing(*corner) for corner in corners]), colour, part=True)


def _draw_beak(canvas: _Canvas, beak: str, plumage: _Palette) -> None:
    canvas.fill(_BEAKS[beak], plumage.beak, edge=_DARK, part=True)


def _draw_eye(canvas: _Canvas, ring: str) -> None:
    if ring != "no":
        canvas.fill(_circle(_EYE, 0.098), _DARK)
        canvas.fill(_circle(_EYE, 0.086), _COLOURS[ring], part=True)
    canvas.fill(_circle(_EYE, 0.048), _DARK)
    canvas.fill(_circle(_EYE + _GLINT, 0.015), (255, 255, 255))


def _background(rng: np.random.Generator, size: int) -> Image.Image:
    """Sky or foliage out of focus: a gradient, soft blobs, a few twigs."""
    sky = rng.random() < 0.5
    hue = rng.uniform(0.52, 0.62) if sky else rng.uniform(0.2, 0.42)
    top = np.array(_hsv(hue, rng.uniform(0.15, 0.5), rng.uniform(0.7, 0.95) if sky else rng.uniform(0.3, 0.7)))
    bottom = np.array(_hsv(rng.uniform(0.18, 0.4), rng.uniform(0.15, 0.5), rng.uniform(0.4, 0.85)))
    height = np.linspace(0, 1, _BLUR)[:, None, None]
    gradient = (1 - height) * top + height * bottom
    blobs = np.zeros((_BLUR, _BLUR))
    for cells in (4, 9):
        noise = Image.fromarray(rng.random((cells, cells)).astype(np.float32))
        blobs += np.asarray(noise.resize((_BLUR, _BLUR), Image.Resampling.BICUBIC)) - 0.5
    leaves = np.array(_hsv(rng.uniform(0.15, 0.42), rng.uniform(0.3, 0.6), rng.uniform(0.25, 0.7)))
    cover = np.clip(rng.uniform(0.0, 0.5) + 1.6 * blobs, 0, 0.85)[..., None]
    blurred = Image.fromarray(((1 - cover) * gradient + cover * leaves).astype(np.uint8))
    scene = blurred.resize((size, size), Image.Resampling.BICUBIC)
    twigs = ImageDraw.Draw(scene)
    for _ in range(rng.integers(0, 4)):
        ends = rng.uniform(-0.1, 1.1, 4) * size
        shade = _blend(_hsv(0.08, 0.4, 0.35), (220, 225, 215), rng.uniform(0.1, 0.6))
        twigs.line(ends.tolist(), fill=shade, width=int(rng.integers(1, max(2, size // 40) + 1)))
    return scene


def _light(scene: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """Exposure, a gradient across the picture, colour temperature, sensor noise."""
    pixels = np.asarray(scene, dtype=np.float32)
    size = len(pixels)
    angle = rng.uniform(0, 2 * np.pi)
    x, y = np.linspace(-0.5, 0.5, size, dtype=np.float32), np.linspace(-0.5, 0.5, size, dtype=np.float32)
    slope = rng.uniform(0, 0.35) * (np.cos(angle) * x[None, :] + np.sin(angle) * y[:, None])
    warmth = rng.uniform(-0.06, 0.06)
    gain = rng.uniform(0.78, 1.15) * np.array([1 + warmth, 1, 1 - warmth], dtype=np.float32)
    noise = rng.standard_normal((size, size, 1), dtype=np.float32) * rng.uniform(1, 5)
    return np.clip(pixels * (1 + slope[..., None]) * gain + noise, 0, 255).astype(np.uint8)


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _blend(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round((1 - share) * a + share * b) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def _smooth(points: list[tuple[float, float]], closed: bool = True) -> Points:
    """A Catmull-Rom curve through the points, six samples a segment."""
    knots = np.array(points)
    if not closed:
        knots = np.concatenate([[2 * knots[0] - knots[1]], knots, [2 * knots[-1] - knots[-2]]])
    before, start, end, after = (np.roll(knots, -shift, axis=0)[:, None] for shift in range(4))
    t = np.linspace(0, 1, 6, endpoint=False)[None, :, None]
    curve = start + t / 2 * (
        end - before + t * (2 * before - 5 * start + 4 * end - after + t * (3 * (start - end) + after - before))
    )
    if closed:
        return curve.reshape(-1, 2)
    return np.concatenate([curve[: len(points) - 1].reshape(-1, 2), knots[-2:-1]])


def _circle(centre: Points, radius: float) -> Points:
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    return centre + radius * np.stack([np.cos(angle), np.sin(angle)], 1)


def _on_tail(points: Points) -> Points:
    """From (along, across) the tail to bird coordinates."""
    along, across = np.array([-0.955, 0.296]), np.array([0.296, 0.955])
    points = np.asarray(points)
    return np.array([-0.34, 0.09]) + points[:, :1] * along + points[:, 1:] * across


def _across_wing(along: float, across: float) -> Points:
    """The point at `along` of the way from shoulder to tip and `across` of the way from upper to lower edge."""
    index = min(along, 1) * (len(_WING_TOP) - 1)
    low, share = int(index), index % 1
    high = min(low + 1, len(_WING_TOP) - 1)
    top = (1 - share) * _WING_TOP[low] + share * _WING_TOP[high]
    bottom = (1 - share) * _WING_BOTTOM[low] + share * _WING_BOTTOM[high]
    return (1 - across) * top + across * bottom


# Outlines in bird coordinates, point by point around each shape.
# fmt: off
_EYE, _GLINT = np.array([0.335, -0.265]), np.array([0.014, -0.016])
_BODY = _smooth(
    [(0.30, -0.42), (0.41, -0.37), (0.47, -0.26), (0.43, -0.14), (0.39, -0.04), (0.37, 0.10), (0.24, 0.26),
     (0.02, 0.31), (-0.22, 0.24), (-0.42, 0.15), (-0.42, 0.06), (-0.20, -0.08), (0.02, -0.20), (0.15, -0.34)]
)
_BELLY = _smooth(
    [(0.41, -0.12), (0.375, 0.0), (0.355, 0.10), (0.235, 0.245), (0.02, 0.29), (-0.2, 0.22), (-0.05, 0.17), (0.2, 0.1)]
)
_WING_TOP = _smooth([(0.21, -0.11), (0.06, -0.14), (-0.16, -0.04), (-0.36, 0.08), (-0.50, 0.19)], closed=False)
_WING_BOTTOM = _smooth([(0.21, -0.09), (0.13, 0.10), (-0.06, 0.19), (-0.30, 0.19), (-0.50, 0.20)], closed=False)
_CRESTS = {
    "tufted": _smooth([(0.38, -0.36), (0.31, -0.47), (0.19, -0.50), (0.12, -0.44), (0.14, -0.34), (0.26, -0.34)]),
    "spiky": np.array(
        [(0.40, -0.37), (0.36, -0.62), (0.29, -0.44), (0.20, -0.64), (0.18, -0.43), (0.02, -0.58), (0.10, -0.36),
        (-0.06, -0.42), (0.10, -0.28), (0.28, -0.34)]
    ),
}
_BEAKS = {
    "short": np.array([(0.44, -0.32), (0.60, -0.235), (0.44, -0.17)]),
    "long": np.array([(0.45, -0.285), (0.82, -0.235), (0.45, -0.195)]),
    "hooked": _smooth(
        [(0.43, -0.33), (0.54, -0.33), (0.63, -0.27), (0.645, -0.14), (0.60, -0.19), (0.53, -0.19), (0.43, -0.17)]
    ),
    "curved": _smooth(
        [(0.44, -0.29), (0.58, -0.27), (0.70, -0.18), (0.765, -0.02), (0.66, -0.13), (0.56, -0.19), (0.44, -0.20)]
    ),
}
# fmt: on
_FAN = [(0.46 * np.cos(angle), 0.46 * np.sin(angle)) for angle in np.radians(np.linspace(-42, 42, 9))]
_TAILS: dict[str, tuple[Points, list[Points]]] = {
    "forked": (
        np.array([(0, -0.07), (0.22, -0.11), (0.50, -0.22), (0.27, 0.0), (0.50, 0.22), (0.22, 0.11), (0, 0.07)]),
        [],
    ),
    "round": (
        _smooth([(0, -0.06), (0.12, -0.10), (0.26, -0.11), (0.33, 0.0), (0.26, 0.11), (0.12, 0.10), (0, 0.06)]),
        [],
    ),
    "fan": (np.array([(0, -0.06), *_FAN, (0, 0.06)]), [np.array([(0.08, 0), tip]) for tip in _FAN[2:-1:2]]),
    "long": (
        np.array([(0, -0.07), (0.40, -0.055), (0.74, -0.05), (0.78, 0), (0.74, 0.05), (0.40, 0.055), (0, 0.07)]),
        [np.array([(0.1, 0), (0.74, 0)])],
    ),
}
