"""What every runtime looks like once a file is loaded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pmsi_mobile.errors import MeasurementError, PmsiError

if TYPE_CHECKING:
    from pmsi_export.contract.schema import Contract

Image = NDArray[np.uint8]
"""A resized and cropped RGB photo, [H, W, 3]."""
Probabilities = NDArray[np.float32]


class Answer(NamedTuple):
    """What a model says of an image. unknown_score: the higher, the less it is like any class; None for a model that
    does not give it."""

    probabilities: Probabilities
    unknown_score: float | None = None


class NotRunnable(MeasurementError):
    """A file's runtime does not exist on this system; `reason` says why and where it does."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be run here: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class Runner:
    """A loaded model. The two steps are apart so that a benchmark can time the second alone.

    prepare: image uint8 [H, W, 3] -> the runtime's own input (layout, type, container).
    run: that input -> probabilities float32 [K], or an Answer with them. As a file is loaded it gives what the file
    gives: of a top-k file the k largest and their classes, of one with an unknown score probabilities and that, [1].
    """

    prepare: Callable[[Image], Any]
    run: Callable[[Any], Any]

    def answer(self, image: Image) -> Answer:
        """What the model says of one image, where `run` gives all probabilities or an Answer."""
        given = self.run(self.prepare(image))
        return given if isinstance(given, Answer) else Answer(given)

    def predict(self, image: Image) -> Probabilities:
        """The probabilities alone."""
        return self.answer(image).probabilities


def of_one_image(outputs: Sequence[NDArray[Any]]) -> Any:
    """What a file gives for a batch of one: [1, K] -> [K]; of two outputs both, probabilities first."""
    values = [output[0] for output in outputs]
    ordered = sorted(values, key=lambda value: (value.dtype.kind != "f", -value.size))
    return ordered[0] if len(ordered) == 1 else tuple(ordered)


def all_classes(runner: Runner, contract: "Contract") -> Runner:
    """A runner of a file with this contract that gives [K] probabilities: of a top-k file, whose `run` gives the k
    largest and their classes, with zeros for the others; of a file with an unknown score an Answer.

    Its `run` raises MeasurementError where the file does not take or give what the contract says.
    """
    top_k, classes, has_second = contract.output.top_k, len(contract.classes), contract.output.second is not None

    def run(native: Any) -> Probabilities | Answer:
        try:
            given = runner.run(native)
        except PmsiError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise MeasurementError(f"the {contract.format} file cannot be run as its contract says: {reason}") from None
        largest, second = given if has_second and isinstance(given, tuple) else (given, None)
        shape = getattr(largest, "shape", None)
        if shape != (top_k or classes,) or (second is None) == has_second:
            raise MeasurementError(
                f"the {contract.format} file gives {shape} where its contract says {contract.output.shape[1:]}: "
                "export it again from its checkpoint"
            )
        if second is None:
            return np.asarray(largest)
        if not top_k:
            return Answer(np.asarray(largest), float(second[0]))
        if not ((second >= 0) & (second < classes)).all():
            raise MeasurementError(f"the {contract.format} file gives a class beyond the {classes} of its contract")
        probabilities = np.zeros(classes, np.float32)
        probabilities[second] = largest
        return probabilities

    return Runner(runner.prepare, run)


def nchw(image: Image, dtype: type[np.generic] = np.float32) -> NDArray[Any]:
    """uint8 [H, W, 3] -> [1, 3, H, W], values unchanged."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=dtype)


def nhwc(image: Image, dtype: type[np.generic] = np.float32) -> NDArray[Any]:
    """uint8 [H, W, 3] -> [1, H, W, 3], values unchanged."""
    return np.ascontiguousarray(image[None], dtype=dtype)
