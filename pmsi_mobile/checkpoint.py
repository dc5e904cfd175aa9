"""`ckpt.pt`: everything that leaves a training run, in one file that loads without running code."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from pmsi_mobile.confidence.record import NOT_CALIBRATED, Confidence
from pmsi_mobile.config import MOST_CLASSES, Config, parse_config
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import atomic_write
from pmsi_mobile.methods.registry import Network, build_network
from pmsi_mobile.tensor_files import read_tensors

MAGIC = "pmsi-mobile checkpoint"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Golden:
    """Real images with what the training network in eval mode gives for them: parity without a data set.

    images: uint8 [G, 3, H, W], RGB, resized and cropped. probabilities: float32 [G, K], Mix at a temperature of 1:
    those of a calibrated checkpoint follow from them (`pmsi_export.graph.variant.load_variant`).
    """

    images: Tensor
    probabilities: Tensor


@dataclass(frozen=True)
class Checkpoint:
    """A trained model: weights under the training network's names and all that is needed to use them."""

    config: Config
    classes: tuple[str, ...]
    weights: Mapping[str, Tensor]
    metrics: dict[str, Any]
    golden: Golden
    provenance: dict[str, Any]
    trained_on: frozenset[str] = frozenset()
    """Digests of the training photos' content (`pmsi_mobile.data.dataset.content_digest`): none of them is a test."""
    confidence: Mapping[str, Confidence] = field(default_factory=dict)
    """Of `mix` (the mixed heads, or a network's only one) and `concat`; empty for one that was not calibrated."""

    def confidence_of(self, head: str = "mix") -> Confidence:
        """What is known of a prediction's confidence (a network's only head may be called either); a temperature of 1
        where nothing is."""
        return self.confidence.get(head, self.confidence.get("mix", NOT_CALIBRATED))

    def network(self) -> Network:
        """The training network with these weights, in eval mode, on the CPU.

        Raises PmsiError when the weights do not fit the configuration.
        """
        network = build_network(self.config, len(self.classes), load_weights=False)
        try:
            network.load_state_dict(dict(self.weights))
        except RuntimeError as error:
            first = str(error).splitlines()[-1].strip()
            raise PmsiError(f"the checkpoint's weights do not fit its configuration: {first[:160]}") from None
        return network.eval()


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write `path` atomically."""
    content = {
        "magic": MAGIC,
        "schema_version": SCHEMA_VERSION,
        "config": checkpoint.config.model_dump(mode="json"),
        "classes": list(checkpoint.classes),
        "preprocessing": checkpoint.config.preprocessing.model_dump(mode="json"),
        "weights": dict(checkpoint.weights),
        "metrics": checkpoint.metrics,
        "golden": {"images": checkpoint.golden.images, "probabilities": checkpoint.golden.probabilities},
        "provenance": checkpoint.provenance,
        "trained_on": _packed(checkpoint.trained_on),
        "confidence": {head: confidence.model_dump() for head, confidence in checkpoint.confidence.items()},
    }
    # Into an open file: PyTorch's own writer says nothing of a full disk.
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        torch.save(content, file)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises PmsiError when it is missing, corrupt, not ours, or of a newer version."""
    content = read_tensors(path)
    if not isinstance(content, dict) or content.get("magic") != MAGIC:
        raise PmsiError(f"{path} is not a pmsi-mobile checkpoint: pass the ckpt.pt that pmsi-train wrote")
    version = content.get("schema_version")
    if not isinstance(version, int):
        raise PmsiError(f"{path} is an incomplete checkpoint: schema_version is missing or malformed")
    if version > SCHEMA_VERSION:
        raise PmsiError(
            f"{path} has checkpoint version {version}, this pmsi-mobile reads up to "
            f"{SCHEMA_VERSION}: upgrade with pip install -U pmsi-mobile"
        )
    try:
        checkpoint = Checkpoint(
            config=parse_config(content["config"]),
            classes=_listed(content["classes"]),
            weights=content["weights"],
            metrics=content["metrics"],
            golden=Golden(**content["golden"]),
            provenance=content["provenance"],
            trained_on=_unpacked(content.get("trained_on", torch.empty(0, dtype=torch.int64))),
            confidence=_confidence(content.get("confidence", {})),
        )
        problem = _malformed(checkpoint) or _misfit(checkpoint) or _not_finite(checkpoint)
    except (KeyError, TypeError, AttributeError) as error:
        raise PmsiError(f"{path} is an incomplete checkpoint: {error} is missing or malformed") from None
    if problem:
        raise PmsiError(f"{path} cannot be used: {problem}")
    return checkpoint


def _malformed(checkpoint: Checkpoint) -> str | None:
    """What is not of the kind that `save_checkpoint` writes."""
    golden, classes = checkpoint.golden, checkpoint.classes
    if not all(isinstance(name, str) and name for name in classes) or len(set(classes)) < len(classes):
        return "its class names are not different texts"
    if not 1 <= len(classes) <= MOST_CLASSES:
        return f"it has {len(classes)} classes, 1 to {MOST_CLASSES} are possible"
    if not isinstance(checkpoint.metrics, dict) or not isinstance(checkpoint.provenance, dict):
        return "its accuracy or where it comes from is no table"
    tensors = {**checkpoint.weights, "golden images": golden.images, "golden probabilities": golden.probabilities}
    odd = next((name for name, tensor in tensors.items() if not _is_plain(tensor)), None)
    return None if odd is None else f"{odd} is no tensor, or one of more values than the file has"


def _is_plain(tensor: object) -> bool:
    """Whether it is a dense tensor with a value in memory for each of its own: one that repeats a few would be blown up
    by the first operation."""
    return (
        isinstance(tensor, Tensor)
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
    )


def _misfit(checkpoint: Checkpoint) -> str | None:
    """Which parts do not fit together."""
    golden, side = checkpoint.golden, checkpoint.config.preprocessing.crop
    count = len(golden.images) if golden.images.ndim else 0
    if golden.images.dtype != torch.uint8 or not count or golden.images.shape != (count, 3, side, side):
        return f"its golden samples are {tuple(golden.images.shape)}, a crop of {side} needs [N, 3, {side}, {side}]"
    if golden.probabilities.shape != (count, len(checkpoint.classes)):
        shape = tuple(golden.probabilities.shape)
        return f"its golden samples have {shape} probabilities for {len(checkpoint.classes)} classes"
    return None


def _not_finite(checkpoint: Checkpoint) -> str | None:
    values = {**checkpoint.weights, "the golden samples' probabilities": checkpoint.golden.probabilities}
    where = next((name for name, tensor in values.items() if not torch.isfinite(tensor).all()), None)
    if where is None and not _finite_numbers(checkpoint.metrics):
        where = "its accuracy"
    if where is None:
        return None
    return f"{where} has values that are not finite, its training diverged: train again at a lower learning rate"


def _confidence(heads: dict[str, Any]) -> dict[str, Confidence]:
    try:
        return {head: Confidence.model_validate(values) for head, values in heads.items()}
    except ValidationError:
        raise TypeError("what it says of its confidence") from None


def _finite_numbers(metrics: dict[str, Any]) -> bool:
    try:
        json.dumps(metrics, allow_nan=False)
    except ValueError:
        return False
    return True


def _packed(digests: frozenset[str]) -> Tensor:
    """Eight bytes a photo, int64 [N]."""
    numbers = [int.from_bytes(bytes.fromhex(digest), "big", signed=True) for digest in sorted(digests)]
    return torch.tensor(numbers, dtype=torch.int64)


def _unpacked(digests: Tensor) -> frozenset[str]:
    if not isinstance(digests, Tensor) or digests.dtype != torch.int64 or digests.ndim != 1:
        raise TypeError("the list of its training photos")
    return frozenset(number.to_bytes(8, "big", signed=True).hex() for number in digests.tolist())


def _listed(classes: object) -> tuple[str, ...]:
    if not isinstance(classes, list | tuple):
        raise TypeError("the list of classes")
    return tuple(classes)
