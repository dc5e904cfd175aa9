"""The artifact contract: what a client must know about an exported file, as JSON inside it and beside it."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from pmsi_mobile.confidence.record import Confidence, without_null
from pmsi_mobile.config import LARGEST_SIDE, MOST_CLASSES, MethodName, Preprocessing
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import write_text

SCHEMA_VERSION = 1
Precision = Literal["fp32", "fp16", "int8", "int8-dynamic", "int8-weights", "palette6", "palette4"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelSummary(_Part):
    """Which network it is."""

    method: MethodName
    backbone: str
    stages: int | None
    """StageNum; null for a method with one classifier, as the two below."""
    heads: Literal["released", "separable", "lean"] | None
    width: int | None
    head: Literal["mix", "concat"] | None = None
    """What gives the probabilities: all heads mixed, or the concat classifier alone."""


class InputSpec(_Part):
    """The one input: raw RGB pixels, normalised inside the graph; bytes as they are in full-integer models."""

    name: Literal["image"] = "image"
    layout: Literal["NHWC", "NCHW", "image"]
    shape: tuple[int, int, int, int]
    dtype: Literal["float32", "uint8"] = "float32"
    colour: Literal["RGB"] = "RGB"
    value_range: tuple[float, float] = (0.0, 255.0)


class OutputSpec(_Part):
    """The one output: probabilities that sum to 1. With top_k, the largest of them, falling, and a second output
    `indices` of the same shape: their classes. With unknown_score, a second output of that name, float32 [1, 1]."""

    name: Literal["probabilities"] = "probabilities"
    shape: tuple[int, int]
    dtype: Literal["float32"] = "float32"
    top_k: int | None = None
    unknown_score: Literal["negative of the largest logit"] | None = None
    """What it is: the higher, the less the photo is like any class. Above `confidence.unknown.threshold` it shows none
    of them. Null without that output."""

    @property
    def second(self) -> str | None:
        """Name of the second output, if there is one."""
        return "indices" if self.top_k else "unknown_score" if self.unknown_score else None

    @property
    def meaning(self) -> str:
        """What the numbers are, in a few words."""
        if self.unknown_score:
            return f"sum to 1; 'unknown_score': {self.unknown_score}, high for a photo of none of the classes"
        return f"the {self.top_k} largest, falling; 'indices': their classes" if self.top_k else "sum to 1"

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_null(handler(self), "unknown_score")


class PreprocessingSpec(_Part):
    """From a photo to the input. `mean` and `std` (pixels in 0..1) are already in the graph: for information."""

    resize_rule: Literal["stretch to resize x resize, bilinear, antialias"] = (
        "stretch to resize x resize, bilinear, antialias"
    )
    resize: int = Field(ge=1, le=LARGEST_SIDE)
    crop_rule: Literal["centre crop x crop"] = "centre crop x crop"
    crop: int = Field(ge=1, le=LARGEST_SIDE)
    normalisation: Literal["in the graph"] = "in the graph"
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def for_network(self) -> Preprocessing:
        """The same as the configuration section that the transforms take."""
        return Preprocessing(resize=self.resize, crop=self.crop, mean=self.mean, std=self.std)


class ScoreAgreement(_Part):
    """The unknown scores of a file against those of the training network on the same images."""

    max_abs_difference: float
    snr_db: float | None
    """10 log10 of the variance of the network's scores over the mean square of the difference; null for no difference.
    """


class Agreement(_Part):
    """An exported file against the training network on the same images."""

    images: int
    max_abs_difference: float
    """Of probabilities."""
    top1_agreement: float
    """Share of images in 0..1."""
    sqnr_db: float | None
    """10 log10 of the reference's power over that of the difference, of all probabilities; null for no difference."""
    confident_images: int
    """Images on which the reference's first probability is at least 0.3 above its second."""
    confident_agreement: float | None
    """Share of them with the same top-1; null where there are none."""
    top1: float | None = None
    """Accuracy of the file where labels are known, in 0..1."""
    reference_top1: float | None = None
    """The training network's, on the same images."""
    ece: float | None = None
    """Expected calibration error of the file where labels are known, in 0..1; its bins are those of the training
    network's first probabilities."""
    reference_ece: float | None = None
    """The training network's, on the same images."""
    unknown_score: ScoreAgreement | None = None
    """Null for a file without that output."""

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_null(handler(self), "unknown_score")


class Parity(_Part):
    """The verdict of the parity gate. `not measured` carries the reason."""

    status: Literal["passed", "failed", "not measured"]
    gate: str
    reason: str | None = None
    runtime: str | None = None
    """What ran the file for the measurement."""
    golden: Agreement | None = None
    """On the checkpoint's golden samples."""
    photos: Agreement | None = None
    """On the photos of `--data`, or the run's validation photos."""


class ResizeAccuracy(_Part):
    """Top-1 of the file on the same photos, resized as the contract says and in the ways of other programs, in 0..1."""

    photos: int
    antialias: float
    """As the contract says; the others are what a client pays that resizes otherwise."""
    bilinear: float
    nearest: float
    area: float


class FileConfidence(Confidence):
    """How sure the probabilities are. The temperature is already in the graph: for information. The promises are made
    from what the training network gives for photos resized as the contract says."""

    ece: float | None = None
    """Expected calibration error of the file on the photos of its parity gate, in 0..1; null where it was not measured.
    """


class Contract(_Part):
    """Everything about one exported file."""

    schema_version: Literal[1] = 1
    format: str
    precision: Precision
    minimum_runtime: str
    model: ModelSummary
    input: InputSpec
    output: OutputSpec
    classes: tuple[str, ...] = Field(min_length=1, max_length=MOST_CLASSES)
    """In the order of the output."""
    preprocessing: PreprocessingSpec
    mix: Literal["logits", "probabilities"] | None
    """What Eq. 8 sums; null for a method with one classifier."""
    checkpoint_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    tools: dict[str, str]
    """Package -> version that took part."""
    created: datetime
    """UTC."""
    parity: Parity
    resizes: ResizeAccuracy | None = None
    """Null where no labelled photos were at hand."""
    confidence: FileConfidence | None = None
    """Null where the checkpoint was not calibrated."""
    metrics: dict[str, Any]
    """Accuracy as measured at training time, from the checkpoint."""
    content_sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    """Of the file's content without this contract: ties the two together. Empty until the file is complete."""
    contract_sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    """Of this contract's JSON as it is in the file, this value left empty (see `seal`). Empty in files of versions that
    did not protect it."""

    @field_validator("metrics")
    @classmethod
    def _finite(cls, metrics: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(metrics, allow_nan=False)
        except ValueError:
            raise ValueError("a measured value is not a finite number") from None
        return metrics

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Contract":
        outputs, side = self.output.top_k or len(self.classes), self.preprocessing.crop
        sides = self.input.shape[1:3] if self.input.layout == "NHWC" else self.input.shape[2:4]
        if self.output.shape != (1, outputs) or outputs > len(self.classes):
            raise ValueError(f"output {list(self.output.shape)} does not fit {len(self.classes)} classes")
        if self.output.top_k and self.output.unknown_score:
            raise ValueError("an output of the largest probabilities has no unknown score beside it")
        if self.confidence and self.confidence.unknown and not self.output.unknown_score:
            raise ValueError("a threshold of the unknown score does not fit a file that does not give it")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("two classes have the same name")
        if sides != (side, side):
            raise ValueError(f"input {list(self.input.shape)} does not fit a crop of {side}")
        if (self.precision == "int8") != (self.input.dtype == "uint8"):
            raise ValueError(f"an input of {self.input.dtype} does not fit the precision {self.precision}")
        if side > self.preprocessing.resize:
            raise ValueError(f"crop {side} is larger than resize {self.preprocessing.resize}")
        return self

    @property
    def title(self) -> str:
        """Which network, in a few words."""
        return f"{self.model.method} {self.model.backbone}, {len(self.classes)} classes, {self.precision}"

    @property
    def description(self) -> str:
        """What a client has to do, in two sentences."""
        resize, crop = self.preprocessing.resize, self.preprocessing.crop
        return (
            f"Input '{self.input.name}': RGB pixels 0..255 of a photo, {self.preprocessing.resize_rule} "
            f"({resize} x {resize}), {self.preprocessing.crop_rule} ({crop} x {crop}). "
            f"Output '{self.output.name}': {self.output.meaning}."
        )


@dataclass(frozen=True)
class Embedded:
    """What a file says of itself: the contract's JSON, empty in a file without one, and the SHA-256 of its content
    without it."""

    text: str
    content_sha256: str


_SEAL = re.compile(r'("contract_sha256": ?")([0-9a-f]{64})"')


def seal(contract: Contract) -> str:
    """The contract's JSON as it goes into a file and beside it, with its `contract_sha256`: the SHA-256 of this text
    with that value empty.

    A reader replaces the value, which is there once, by nothing and compares: it needs no JSON writer of ours.
    """
    digest = hashlib.sha256(_as_text(contract, "").encode()).hexdigest()
    return _as_text(contract, digest)


def is_sealed(text: str) -> bool | None:
    """Whether a contract's JSON is as `seal` wrote it; None where it has no seal, from versions that wrote none."""
    seals = _SEAL.findall(text)
    if not seals:
        return None
    unsealed = _SEAL.sub(r'\1"', text)
    return len(seals) == 1 and hashlib.sha256(unsealed.encode()).hexdigest() == seals[0][1]


def sidecar_path(model: Path) -> Path:
    """`model.tflite` -> `model.tflite.json`."""
    return model.with_name(f"{model.name}.json")


def write_sidecar(text: str, model: Path) -> Path:
    """Write what `seal` gave beside the model too; returns its path."""
    path = sidecar_path(model)
    write_text(path, text)
    return path


def write_labels(classes: tuple[str, ...], path: Path) -> None:
    """Write the class names, one a line in the output's order."""
    write_text(path, "".join(f"{name}\n" for name in classes))


def parse_contract(text: str, path: Path) -> Contract:
    """The contract that a JSON text holds; `path` is where it was found.

    Raises PmsiError for a text that is no contract, of a newer schema version, not as `seal` wrote it, or at odds with
    itself.
    """
    try:
        version = _SchemaVersion.model_validate_json(text).schema_version
        if version > SCHEMA_VERSION:
            raise PmsiError(
                f"{path} has contract version {version}, this pmsi-mobile reads up to {SCHEMA_VERSION}: "
                "upgrade with pip install -U pmsi-mobile"
            )
        sealed = is_sealed(text)
        contract = None if sealed is False else Contract.model_validate_json(text)
    except ValidationError as error:
        raise PmsiError(f"{path} is not a model contract: {first_problem(error)}") from None
    # A digest written otherwise than `seal` does, which nobody finds, is no protection.
    if contract is None or (contract.contract_sha256 and not sealed):
        raise PmsiError(
            f"{path} is damaged: its contract has changed since it was written: export it again from its checkpoint"
        )
    return contract


def _as_text(contract: Contract, digest: str) -> str:
    return contract.model_copy(update={"contract_sha256": digest}).model_dump_json(indent=2)


class _SchemaVersion(BaseModel):
    schema_version: int = Field(ge=1, le=10**6)


def first_problem(error: ValidationError) -> str:
    """Where it is and what is wrong, in one line."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]
