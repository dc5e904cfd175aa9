"""The contract in the metadata of a Core ML package."""

import hashlib
import json
from pathlib import Path

from pmsi_export.contract.schema import Embedded
from pmsi_export.formats.coreml.mil.package import (
    Specification,
    class_labels,
    manifest_path,
    read_specification,
    weights_path,
    write_specification,
)
from pmsi_mobile.errors import PmsiError

CONTRACT = "pmsi.contract"
CONTRACT_SHA256 = "pmsi.contract.sha256"


def embed(path: Path, text: str) -> None:
    """Put the contract's JSON, a description and a version into the package's metadata.

    Raises PmsiError when the classifier's labels are not the contract's classes.
    """
    specification, contract = read_specification(path), json.loads(text)
    _check_labels(path, specification, text)
    metadata = specification.description.metadata
    metadata.userDefined[CONTRACT] = text
    metadata.userDefined[CONTRACT_SHA256] = hashlib.sha256(text.encode()).hexdigest()
    classes, model = contract["classes"], contract["model"]
    metadata.shortDescription = f"Image classifier, {len(classes)} classes: {model['method']} with {model['backbone']}"
    metadata.versionString = contract["checkpoint_sha256"][:12]
    write_specification(path, specification)


def extract(path: Path) -> Embedded:
    """What `embed` added, and the digest of manifest, weights and specification less metadata.

    Raises PmsiError when a file of the package cannot be read, the contract is damaged or the classifier's labels are
    not its classes.
    """
    try:
        specification = read_specification(path)
        files = [file.read_bytes() for file in (manifest_path(path), weights_path(path))]
    except (OSError, ValueError) as error:
        raise PmsiError(f"{path} is damaged: {error}") from None
    written = specification.description.metadata.userDefined
    text, checksum = written.get(CONTRACT, ""), written.get(CONTRACT_SHA256, "")
    if text:
        if hashlib.sha256(text.encode()).hexdigest() != checksum:
            raise PmsiError(f"{path} is damaged: its contract has changed")
        _check_labels(path, specification, text)
    specification.description.ClearField("metadata")
    digest = hashlib.sha256(specification.SerializeToString(deterministic=True))
    for content in files:
        digest.update(content)
    return Embedded(text, digest.hexdigest())


def _check_labels(path: Path, specification: Specification, text: str) -> None:
    try:
        same = class_labels(specification) == json.loads(text)["classes"]
    except (ValueError, LookupError, TypeError, RecursionError):  # No classifier, or no contract.
        same = False
    if not same:
        raise PmsiError(f"{path} is damaged: its labels are not the classes of its contract")
