"""The configuration of a run: presets, overrides, validation.

A resolved `Config` is saved with the run and inside its checkpoint. No heavy import here: `--help` and
validation answer at once.
"""

from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from reprlib import Repr
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import write_text

LARGEST_SIDE = 4096
"""Pixels of an input's side: what a file says is not allocated beyond it."""
LARGEST_WIDTH = 8192
"""Features of a layer, in the same way."""
MOST_CLASSES = 100_000
PRESETS = ("mobile", "mobile-plain", "mobile-rmg", "paper", "released")
TORCHVISION = ("mobilenet_v2", "resnet18", "resnet34")
"""Backbones that are cut into stages here; any other is timm's."""

PositiveFloat = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


MethodName = Literal["rmg-pmsi", "baseline", "pmg", "bcnn", "hbp", "pc", "api"]
Augment = Literal["none", "rmg", "jigsaw", "cutmix", "mixup", "snapmix"]
MIXES_PHOTOS = ("cutmix", "mixup", "snapmix")
"""Augmentations that make one photo of two of different classes."""

Resize = Literal["antialias", "bilinear", "nearest", "area"]
"""Bilinear with antialias (PIL, torchvision), plain bilinear (Android's createScaledBitmap, GPU textures), nearest
pixel, mean of the covered area (OpenCV's INTER_AREA)."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class ModelConfig(_Section):
    """The network."""

    backbone: str = "mobilenet_v2"
    """`mobilenet_v2`, `resnet18`, `resnet34`, or the name of a timm model."""
    weights: str = "imagenet"
    """`imagenet`, `none`, a file of weights (.safetensors, .pt, .pth), or a model of the hub (`hf-hub:OWNER/NAME`)."""
    start_from: str | None = None
    """A ckpt.pt of the same network, whose weights, all but the classifiers' last layers, the run starts from."""
    stages: int = Field(3, ge=1, le=5)
    """StageNum: how many of the backbone's last stages take part."""
    last_conv: bool = True
    """Whether mobilenet_v2 keeps its last convolution, 320 to 1280 channels; without it stage 5 has 320."""
    heads: Literal["released", "separable", "lean"] = "released"
    """The stages' smooth convolutions. `lean`: 1x1 to c, depthwise 3x3, 1x1, at half the resolution but for the last
    stage."""
    width: int = Field(640, ge=2, le=LARGEST_WIDTH, multiple_of=2)
    """Feature width c of every stage."""
    hidden: int = Field(320, ge=1, le=LARGEST_WIDTH)
    """Hidden width of the mutual-vector MLP and of the classifiers."""
    gates: bool = True
    """Multi-stage interaction (Eq. 1-3), the paper's M; without it a stage's features stay as they are."""
    progressive: bool = True
    """Progressive training, the paper's P: each stage has a classifier and a phase of its own; without it there is the
    concat classifier alone."""
    last_block: bool = True
    """Whether hbp keeps the backbone's last block, in mobilenet_v2 that from 160 to 320 channels; without it the three
    blocks are those before it."""
    projection: int = Field(8192, ge=1, le=LARGEST_WIDTH)
    """Channels to which hbp projects each of the last three blocks; published with 8192, for a phone 512."""
    mix: Literal["logits", "probabilities"] = "logits"
    """What Eq. 8 sums."""


class MosaicConfig(_Section):
    """The recursive mosaic generator G(image, r), and the jigsaw of 2^r x 2^r tiles."""

    shuffle: Literal["cycle", "permutation"] = "cycle"
    """A uniformly random 4-cycle (no tile keeps its place), or any of the 24 permutations."""
    draw: Literal["batch", "sample"] = "batch"
    """One draw for the whole batch, or one per sample."""
    max_recursion: int = Field(3, ge=0, le=5)
    """Upper bound of r; 0 trains every phase on the original image. The paper advises at most 3."""


class Preprocessing(_Section):
    """From a photo to the network's input: stretch to `resize` x `resize`, crop `crop` x `crop`, normalise.

    Bilinear with antialias, in training also otherwise (`train.resize`). The crop is random in training and central
    otherwise; `mean` and `std` are per RGB channel of pixels in 0..1.
    """

    resize: int = Field(512, ge=32, le=LARGEST_SIDE)
    crop: int = Field(448, ge=32, le=LARGEST_SIDE, multiple_of=32)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (0.229, 0.224, 0.225)

    @model_validator(mode="after")
    def _crop_fits(self) -> "Preprocessing":
        if self.crop > self.resize:
            raise ValueError(f"crop {self.crop} is larger than resize {self.resize}")
        return self


class DataConfig(_Section):
    """How photos are split and loaded."""

    val_fraction: Fraction = 0.1
    """Share of the training photos held out, per class, where the data set has no validation split."""
    test_fraction: Fraction = 0.1
    """Share held out for the test where the folder has no splits at all."""
    workers: int = Field(2, ge=0)
    """Loader processes; 0 loads in the training process. The result does not depend on it."""
    cache_gib: float = Field(4.0, ge=0)
    """Resized photos that are kept in the run folder while a run goes on, GiB, instead of decoding them in every epoch;
    0 keeps none. The result does not depend on it."""


class TrainConfig(_Section):
    """The optimisation."""

    epochs: int = Field(150, ge=1)
    minutes: float = Field(0.0, ge=0)
    """Minutes that the epochs may take, validation included: there are as many as fit in at the speed that is measured,
    in place of `epochs`. 0: `epochs`."""
    batch_size: int = Field(32, ge=2)
    """Photos per step on each process."""
    lr_backbone: PositiveFloat = 1e-4
    lr_new: PositiveFloat = 1e-3
    """Learning rate of the layers that do not come from the backbone."""
    lr_decay: float = Field(1.0, gt=0, le=1)
    """The backbone's last stage learns at `lr_backbone`, an earlier stage at this many times the next one's rate."""
    schedule: Literal["cosine", "constant", "onecycle"] = "cosine"
    """Per step: cosine to 0, constant, or one-cycle (cosine up from 1/25 in `warmup`, cosine down)."""
    warmup: float = Field(0.1, gt=0, lt=1)
    """Share of the steps in which one-cycle rises."""
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(5e-4, ge=0)
    clip_norm: float = Field(0.0, ge=0)
    """Gradients whose norm, over all weights, is larger are scaled down to it: one steep batch cannot undo what the
    backbone knows. 0: they are taken as they are."""
    augment: Augment | Literal["method"] = "method"
    """`rmg`: recursive mosaics; `jigsaw`: grids of shuffled tiles; `cutmix`, `mixup`, `snapmix`: two photos in one, the
    same in all phases of a batch; `method`: the method's own, rmg for rmg-pmsi, jigsaw for pmg, none for others."""
    random_resized_crop: Fraction = 0.0
    """Smallest share of the photo that a training crop shows, for example 0.25: its area and proportions are random,
    and it is resized to `preprocessing.crop`. 0: `crop` x `crop` pixels of the resized photo."""
    trivial_augment: bool = False
    """One random change of colours or geometry per training photo, of random strength (TrivialAugmentWide)."""
    random_erasing: Fraction = 0.0
    """Share of the training photos in which a random rectangle is erased, for example 0.25."""
    concat_weight: PositiveFloat = 1.0
    """Weight of the concat classifier's loss in rmg-pmsi; in pmg it is 2."""
    label_smoothing: Fraction = 0.0
    """Share of each label that is spread over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced`: a class's weight in the cross entropy is inversely proportional to its number of training photos."""
    sampler: Literal["shuffled", "balanced"] = "shuffled"
    """`balanced`: an epoch has as many photos as there are, but equally many of each class: a part of a large class,
    those of a small one several times."""
    teacher: tuple[str, ...] = ()
    """Checkpoints whose Mix on the whole crop, their mean for several, every phase of the student learns from too; a
    preset's name: such a network is trained first, in the run folder's `teachers`."""
    distill_weight: float = Field(0.7, ge=0, le=1)
    """Weight of the teachers' divergence in the loss; the rest is cross entropy."""
    temperature: PositiveFloat = 2.0
    """What logits are divided by before student and teachers are compared."""
    frozen_epochs: int = Field(5, ge=0)
    """First epochs in which the backbone is not stepped."""
    freeze_bn: bool = False
    """Whether the backbone's BatchNorm statistics stand still in those epochs too."""
    resize: Literal["antialias", "mixed"] = "antialias"
    """How training photos are resized: as in evaluation, or each in one of the ways that phones and their libraries
    use (antialiased and plain bilinear, nearest pixel, area)."""
    ema: Fraction = 0.0
    """Decay per batch of an exponential moving average of the weights, which is then what is evaluated and saved, for
    example 0.99; 0: the weights themselves."""
    precise_bn: int = Field(0, ge=0)
    """Before each evaluation, BatchNorm statistics are estimated anew on this many training photos without mosaics, and
    saved with the weights (PreciseBN); training goes on with its own. 0: the running statistics of the phases."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision."""
    channels_last: bool = True
    compile: bool = False
    """torch.compile the network."""
    patience: int = Field(0, ge=0)
    """The run ends after this many epochs in a row without a better Mix top-1 on the validation split; 0: never."""
    select: Literal["best", "last"] = "best"
    """Which epoch's weights become ckpt.pt: the best Mix top-1 on the validation split, of
    equal ones the last, or the last of all."""
    save_minutes: PositiveFloat = 5.0
    """How often the state for `--resume` is saved within an epoch; it is always saved at an epoch's end."""


class Config(_Section):
    """A whole run."""

    method: MethodName = "rmg-pmsi"
    """`baseline` is the plain backbone classifier, trained with cross entropy; the others are what the paper's Table V
    compares with."""
    seed: int = Field(0, ge=0)
    model: ModelConfig = ModelConfig()
    mosaic: MosaicConfig = MosaicConfig()
    preprocessing: Preprocessing = Preprocessing()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()

    @property
    def staged(self) -> bool:
        """Whether the method has heads on several stages, which are mixed."""
        return self.method in ("rmg-pmsi", "pmg")

    @model_validator(mode="after")
    def _augmentation_fits(self) -> "Config":
        augment = self.train.augment
        if augment in ("rmg", "jigsaw") and not (self.staged and self.model.progressive):
            raise ValueError(
                f"train.augment={augment} shuffles tiles in the phases of stages, which are not trained here"
            )
        if augment in MIXES_PHOTOS and self.method in ("pc", "api"):
            raise ValueError(f"train.augment={augment} mixes classes, and {self.method} compares photos of one class")
        return self

    @model_validator(mode="after")
    def _classes_are_evened_out_once(self) -> "Config":
        if self.train.sampler == "balanced" and self.method == "api":
            raise ValueError("train.sampler=balanced draws photos, and api draws classes, each as often as the others")
        if self.train.sampler == "balanced" and self.train.class_weights == "balanced":
            raise ValueError("train.sampler and train.class_weights both even the classes out: set one of them")
        return self

    @model_validator(mode="after")
    def _stages_are_known(self) -> "Config":
        if self.train.lr_decay < 1 and self.model.backbone not in TORCHVISION:
            raise ValueError(
                f"train.lr_decay is for {', '.join(TORCHVISION)}: a timm model's stages are not told apart"
            )
        return self

    @model_validator(mode="after")
    def _teacher_sees_whole_photos(self) -> "Config":
        if self.train.teacher and self.train.augment in MIXES_PHOTOS:
            raise ValueError(
                f"train.augment={self.train.augment} and train.teacher exclude each other: a teacher is "
                "shown whole photos, which are of one class"
            )
        return self


def load_config(preset: str | None, overrides: dict[str, Any] | None = None) -> Config:
    """Resolve a preset and dotted overrides such as `{"model.width": 320}`.

    preset: None for that of the overrides' method: `mobile` (hbp), `mobile-plain` (the plain classifier) or
    `mobile-rmg` (any other); where they name none `mobile`, or `mobile-plain` with another backbone than mobilenet_v2.
    Raises PmsiError for an unknown preset, an unknown key, a value out of range, or `mobile` with another method.
    """
    overrides = overrides or {}
    usual = _preset_of(overrides)
    preset = usual if preset is None else preset
    if preset not in PRESETS:
        raise PmsiError(f"unknown preset '{preset}': choose one of {', '.join(PRESETS)}")
    method = overrides.get("method", "hbp")
    if preset == "mobile" and method != "hbp":
        raise PmsiError(f"--preset mobile has the learning rates of hbp: with method {method} take --preset {usual}")
    text = resources.files("pmsi_mobile").joinpath(f"presets/{preset}.yaml").read_text(encoding="utf-8")
    return override(parse_config(yaml.safe_load(text)), overrides)


def _preset_of(overrides: dict[str, Any]) -> str:
    method = overrides.get(
        "method", "hbp" if overrides.get("model.backbone", "mobilenet_v2") == "mobilenet_v2" else "baseline"
    )
    return {"hbp": "mobile", "baseline": "mobile-plain"}.get(str(method), "mobile-rmg")


def override(config: Config, overrides: dict[str, Any]) -> Config:
    """`config` with dotted keys replaced. Raises PmsiError for an unknown key or a value out of range."""
    values = config.model_dump(mode="json")
    for key, value in overrides.items():
        section, _, name = key.rpartition(".")
        target = values.get(section) if section else values
        if not isinstance(target, dict) or name not in target:
            raise PmsiError(f"configuration: there is no '{key}' ({_suggestion(key)})")
        target[name] = value
    return parse_config(values)


def _suggestion(key: str) -> str:
    """The nearest key there is: of the same name in another section, or of a similar one."""
    known = list(flatten(Config()))
    last = {name.rpartition(".")[2]: name for name in known}
    name = key.rpartition(".")[2]
    near = get_close_matches(key, known, n=1, cutoff=0.8) or get_close_matches(name, last, n=1, cutoff=0.7)
    hint = f"did you mean {last.get(near[0], near[0])}? " if near else ""
    return f"{hint}pmsi-train --print-config lists all keys"


def read_overrides(path: Path) -> dict[str, Any]:
    """The values of a YAML file, all or some of a configuration's, under dotted keys. Raises PmsiError when it cannot
    be read."""
    return {
        f"{section}.{name}" if name else section: value
        for section, values in _read_yaml(path).items()
        for name, value in (values.items() if isinstance(values, dict) else [("", values)])
    }


def flatten(config: Config) -> dict[str, Any]:
    """All values under their dotted keys, as plain data: `{"model.width": 320, ...}`."""
    flat: dict[str, Any] = {}
    for section, values in config.model_dump(mode="json").items():
        if isinstance(values, dict):
            flat |= {f"{section}.{name}": value for name, value in values.items()}
        else:
            flat[section] = values
    return flat


def read_config(path: Path) -> Config:
    """Read a configuration that `save_config` wrote. Raises PmsiError when it is not one."""
    return parse_config(_read_yaml(path))


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise PmsiError(f"{path} cannot be read: it has too many parts inside each other") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PmsiError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise PmsiError(f"{path} is not a configuration: it has no 'key: value' lines")
    return values


def _shown(value: object) -> str:
    """A value as text, without what a few references to the same lists would grow to."""
    short = Repr()
    short.maxstring = short.maxother = 100
    short.maxlevel = 2
    return short.repr(value)


def parse_config(values: dict[str, Any]) -> Config:
    """Validate a configuration given as plain values. Raises PmsiError with the first thing that is wrong."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "configuration"
        raise PmsiError(f"configuration: {where}: {first['msg']} (got {_shown(first['input'])})") from None


def parse_assignments(assignments: list[str]) -> dict[str, Any]:
    """`["train.epochs=5"]` -> `{"train.epochs": 5}`; values are YAML. Raises PmsiError where there is no `=`."""
    parsed = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise PmsiError(f"--set takes key=value, for example train.epochs=20 (got '{text}')")
        try:
            parsed[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise PmsiError(f"--set {key.strip()}: '{value}' is not a YAML value") from None
    return parsed


def save_config(config: Config, path: Path) -> None:
    """Write the resolved configuration as YAML."""
    write_text(path, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
