"""The two files of a .mlpackage: the specification, a protocol buffer, and the weights.

Both are read by coremltools' own code, but by two of its modules alone, in a tenth of a second: the whole package
takes 7 seconds and imports every framework that it can convert from.
"""

import sys
from collections.abc import Callable
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmsi_mobile.errors import PmsiError
from pmsi_mobile.extras import how_to_install

Specification = Any
"""A `coremltools.proto.Model_pb2.Model`."""
Reader = Callable[[str, int], NDArray[Any]]
"""From a data type and an offset to the flat array that the weights file holds there."""


def specification_path(package: Path) -> Path:
    return package / "Data/com.apple.CoreML/model.mlmodel"


def manifest_path(package: Path) -> Path:
    return package / "Manifest.json"


def weights_path(package: Path) -> Path:
    return package / "Data/com.apple.CoreML/weights/weight.bin"


def read_specification(package: Path) -> Specification:
    """Raises OSError, or ValueError when the file is no specification."""
    from google.protobuf.message import DecodeError

    try:
        return _proto().Model_pb2.Model.FromString(specification_path(package).read_bytes())
    except DecodeError as error:
        raise ValueError(f"its specification cannot be read ({error})") from None


def write_specification(package: Path, specification: Specification) -> None:
    specification_path(package).write_bytes(specification.SerializeToString(deterministic=True))


def main_block(specification: Specification) -> Any:
    """The operations of an ML program's function `main`."""
    main = specification.mlProgram.functions["main"]
    return main.block_specializations[main.opset]


def class_labels(specification: Specification) -> list[str]:
    """A classifier's classes, in the order of its program's probabilities. Raises ValueError when it is none."""
    last = main_block(specification).operations[-1:]
    if [operation.type for operation in last] != ["classify"]:
        raise ValueError("it is not a classifier")
    listed = last[0].inputs["classes"].arguments[0].value.immediateValue.list.values
    return [each.immediateValue.tensor.strings.values[0] for each in listed]


def data_type_name(number: int) -> str:
    """`FLOAT16` and so on, as MIL's specification calls the type of a value."""
    return _proto().MIL_pb2.DataType.Name(number)


def open_weights(package: Path) -> Reader:
    """The reader raises RuntimeError or ValueError where no array of that type begins."""
    reader = _blob_storage()._BlobStorageReader(str(weights_path(package)))
    names = {"FLOAT32": "float", "FLOAT16": "fp16"}
    others = ("INT4", "INT8", "INT16", "INT32", *(f"UINT{bits}" for bits in (1, 2, 3, 4, 6, 8, 16, 32)))
    names |= {name: name.lower() for name in others}

    def read(data_type: str, offset: int) -> NDArray[Any]:
        values = np.array(getattr(reader, f"read_{names[data_type]}_data")(offset))
        return values.view(np.float16) if data_type == "FLOAT16" else values

    return read


@cache
def _proto() -> ModuleType:
    folder = _coremltools_folder() / "proto"
    # Under a name of its own: `coremltools.proto` would bring the whole package in.
    spec = spec_from_file_location(
        "pmsi_export.mil._proto", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@cache
def _blob_storage() -> ModuleType:
    # Under the name that coremltools gives it: an extension module initialises once per name, its types once.
    spec = PathFinder.find_spec("coremltools.libmilstoragepython", [str(_coremltools_folder())])
    if spec is None or spec.loader is None:
        raise ImportError("coremltools has no reader of weights for this system")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _coremltools_folder() -> Path:
    spec = find_spec("coremltools")
    if spec is None or spec.origin is None:
        raise PmsiError(
            f"a Core ML package is read with coremltools, which is not installed: {how_to_install('coremltools')}"
        )
    return Path(spec.origin).parent
