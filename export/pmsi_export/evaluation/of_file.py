"""An exported file with its runtime; no PyTorch but for the formats that are PyTorch's own."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pmsi_export.contract.schema import Contract
from pmsi_export.evaluation.model import Model
from pmsi_export.evaluation.predictions import Predictions
from pmsi_export.formats.earlier import shortcomings
from pmsi_export.formats.open import load_file, read_contract
from pmsi_export.runtime.preprocess import load_image
from pmsi_export.runtime.runner import all_classes
from pmsi_mobile.confidence.record import NOT_CALIBRATED
from pmsi_mobile.config import Resize
from pmsi_mobile.data.corruptions import Corruption
from pmsi_mobile.data.splits import Photo
from pmsi_mobile.errors import MeasurementError


def open_file(path: Path) -> Model:
    """Raises PmsiError when it cannot be opened, NotRunnable when this system cannot run it."""
    contract = read_contract(path)
    runner = all_classes(load_file(path, verify=False), contract)
    preprocessing = contract.preprocessing.for_network()
    name: str = contract.model.head or "mix"
    kind = "calibrated" if contract.confidence else "uncalibrated"

    def predict(
        photos: Sequence[Photo], resize: Resize, corruption: Corruption | None, progress: Callable[[int, int], None]
    ) -> Predictions:
        outputs = np.empty((len(photos), len(contract.classes)), np.float32)
        for index, photo in enumerate(photos):
            outputs[index] = runner.predict(load_image(photo.path, preprocessing, resize, corruption))
            progress(index + 1, len(photos))
        if lost := int((~np.isfinite(outputs).all(axis=1)).sum()):
            raise MeasurementError(f"{path} gives no probabilities of {lost} photos, but what is not a number")
        return Predictions({name: outputs}, {name: {kind: outputs}})

    confidence = {name: contract.confidence or NOT_CALIBRATED}
    return Model(
        path,
        contract.content_sha256,
        contract.classes,
        confidence,
        config=None,
        trained_on=frozenset(),
        predict=predict,
        notes=tuple(_notes(path, contract)),
    )


def _notes(path: Path, contract: Contract) -> Iterator[str]:
    yield from shortcomings(path, contract)
    if contract.output.top_k:
        yield (
            f"{path} gives the {contract.output.top_k} largest probabilities alone: the others count as 0, which NLL, "
            "Brier and top-5 are the worse for"
        )
