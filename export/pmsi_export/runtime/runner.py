"""What every runtime looks like once a file is loaded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmsi_mobile.errors import MeasurementError, PmsiError

if TYPE_CHECKING:
    from pmsi_export.contract.schema import Contract

Image = NDArray[np.uint8]
"""A resized and cropped RGB photo, [H, W, 3]."""
Probabilities = NDArray[np.float32]


class NotRunnable(MeasurementError):
    """A file's runtime does not exist on this system; `reason` says why and where it does."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be run here: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class Runner:
    """A loaded model. The two steps are apart so that a benchmark can time the second alone.

    prepare: image uint8 [H, W, 3] -> the runtime's own input (layout, type, container).
    run: that input -> probabilities float32 [K]; of a top-k file, the k largest and their classes.
    """

    prepare: Callable[[Image], Any]
    run: Callable[[Any], Any]

    def predict(self, image: Image) -> Probabilities:
        """The probabilities of one image, where `run` gives them all."""
        probabilities: Probabilities = self.run(self.prepare(image))
        return probabilities


def of_one_image(outputs: Sequence[NDArray[Any]]) -> Any:
    """What a file gives for a batch of one: [1, K] -> [K]; of a top-k file's two outputs both, probabilities first."""
    values = [output[0] for output in outputs]
    return values[0] if len(values) == 1 else tuple(sorted(values, key=lambda value: value.dtype.kind != "f"))


def all_classes(runner: Runner, contract: "Contract") -> Runner:
    """A runner of a file with this contract that gives [K] probabilities: of a top-k file, whose `run` gives the k
    largest and their classes, with zeros for the others.

    Its `run` raises MeasurementError where the file does not take or give what the contract says.
    """
    top_k, classes = contract.output.top_k, len(contract.classes)

    def run(native: Any) -> Probabilities:
        try:
            given = runner.run(native)
        except PmsiError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise MeasurementError(f"the {contract.format} file cannot be run as its contract says: {reason}") from None
        largest, indices = given if top_k and isinstance(given, tuple) else (given, None)
        shape = getattr(largest, "shape", None)
        if shape != (top_k or classes,) or (indices is None) == bool(top_k):
            raise MeasurementError(
                f"the {contract.format} file gives {shape} where its contract says {contract.output.shape[1:]}: "
                "export it again from its checkpoint"
            )
        if indices is None:
            return np.asarray(largest)
        if not ((indices >= 0) & (indices < classes)).all():
            raise MeasurementError(f"the {contract.format} file gives a class beyond the {classes} of its contract")
        probabilities = np.zeros(classes, np.float32)
        probabilities[indices] = largest
        return probabilities

    return Runner(runner.prepare, run)


def nchw(image: Image, dtype: type[np.generic] = np.float32) -> NDArray[Any]:
    """uint8 [H, W, 3] -> [1, 3, H, W], values unchanged."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=dtype)


def nhwc(image: Image, dtype: type[np.generic] = np.float32) -> NDArray[Any]:
    """uint8 [H, W, 3] -> [1, H, W, 3], values unchanged."""
    return np.ascontiguousarray(image[None], dtype=dtype)
