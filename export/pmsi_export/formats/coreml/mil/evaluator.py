"""A reference evaluator of MIL programs, for systems that have no Core ML.

What is modelled: every operation of `main` with the weights and constants as they lie in the package, compressed ones
decompressed; the order of the image's channels; the rounding of every value that the program declares float16.

What is not: how Core ML computes inside an operation. Here that is float32, then one rounding; the Neural Engine and
the GPU accumulate in their own order and precision, and Core ML may fuse operations and skip the rounding between them.
A float32 program is therefore checked to float32's accuracy, a float16 program's numbers are those of a good device.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pmsi_export.formats.coreml.mil.operations import OPERATIONS, UnknownToEvaluator
from pmsi_export.formats.coreml.mil.package import Reader, data_type_name, main_block, open_weights, read_specification


@dataclass(frozen=True)
class Name:
    """A value that an earlier step made."""

    name: str


@dataclass(frozen=True)
class Step:
    """One operation. arguments: for each input a Name, a constant, or a list of either."""

    operation: str
    arguments: Mapping[str, Any]
    outputs: tuple[str, ...]
    half: tuple[bool, ...]
    """Which outputs are float16."""

    def run(self, values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = {key: _look_up(argument, values) for key, argument in self.arguments.items()}
        result = OPERATIONS[self.operation](**arguments)
        results = result if isinstance(result, tuple) else (result,)
        return {
            name: value.half().float() if half else value
            for name, value, half in zip(self.outputs, results, self.half, strict=True)
        }


@dataclass(frozen=True)
class Program:
    """The function `main` of a classifier that takes an RGB image of `height` x `width` pixels."""

    image: str
    height: int
    width: int
    bgr: bool
    constants: Mapping[str, Any]
    steps: tuple[Step, ...]
    probabilities: str
    given: tuple[str, ...]
    """Names of all outputs."""

    def predict(self, pixels: NDArray[np.uint8]) -> dict[str, float]:
        """RGB pixels [H, W, 3] -> probability of every class. Raises ValueError for an image of another size."""
        probabilities: dict[str, float] = self.outputs(pixels)[self.probabilities]
        return probabilities

    @torch.inference_mode()
    def outputs(self, pixels: NDArray[np.uint8]) -> dict[str, Any]:
        """RGB pixels [H, W, 3] -> every output by its name. Raises ValueError for an image of another size."""
        if pixels.shape != (self.height, self.width, 3):
            raise ValueError(f"the image is {pixels.shape}, the program takes {(self.height, self.width, 3)}")
        planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
        values = {**self.constants, self.image: planes.flip(1) if self.bgr else planes}
        for step in self.steps:
            values |= step.run(values)
        return {name: values[name] for name in self.given}


def read_program(package: Path) -> Program:
    """Read a .mlpackage, decompress its weights and run it once on a black image.

    Raises UnknownToEvaluator when the program has anything that is not modelled; OSError, RuntimeError or ValueError
    for a package that is damaged.
    """
    specification = read_specification(package)
    kind = specification.WhichOneof("Type")
    if kind != "mlProgram":
        raise UnknownToEvaluator(f"a model of the type {kind}")
    image = _image_input(specification)
    value = partial(_value, open_weights(package))
    constants: dict[str, Any] = {}
    steps = []
    for operation in main_block(specification).operations:
        if operation.type == "const":
            constants[operation.outputs[0].name] = value(operation.attributes["val"])
            continue
        step = _step(operation, value)
        if operation.type.startswith("constexpr_"):
            constants |= step.run(constants)
        else:
            steps.append(step)
    size = image.type.imageType
    program = Program(
        image=image.name,
        height=size.height,
        width=size.width,
        bgr=size.colorSpace == size.BGR,
        constants=constants,
        steps=tuple(steps),
        probabilities=specification.description.predictedProbabilitiesName,
        given=tuple(output.name for output in specification.description.output),
    )
    program.predict(np.zeros((program.height, program.width, 3), np.uint8))
    return program


def _image_input(specification: Any) -> Any:
    inputs = specification.description.input
    if len(inputs) != 1 or inputs[0].type.WhichOneof("Type") != "imageType":
        raise UnknownToEvaluator("a model whose input is not one image")
    size = inputs[0].type.imageType
    if size.colorSpace not in (size.RGB, size.BGR):
        raise UnknownToEvaluator("an image that is neither RGB nor BGR")
    return inputs[0]


def _step(operation: Any, value: Any) -> Step:
    if operation.type not in OPERATIONS:
        raise UnknownToEvaluator(f"the MIL operation {operation.type}")
    arguments = {key: value(attribute) for key, attribute in operation.attributes.items() if key != "name"}
    for key, bound in operation.inputs.items():
        listed = [
            Name(each.name) if each.WhichOneof("binding") == "name" else value(each.value) for each in bound.arguments
        ]
        arguments[key] = listed if key == "values" else listed[0]
    try:
        inspect.signature(OPERATIONS[operation.type]).bind(**arguments)
    except TypeError as error:
        raise UnknownToEvaluator(f"the MIL operation {operation.type} in this form ({error})") from None
    return Step(
        operation.type,
        arguments,
        tuple(output.name for output in operation.outputs),
        tuple(
            output.type.WhichOneof("type") == "tensorType"
            and data_type_name(output.type.tensorType.dataType) == "FLOAT16"
            for output in operation.outputs
        ),
    )


def _look_up(argument: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(argument, Name):
        return values[argument.name]
    return [_look_up(each, values) for each in argument] if isinstance(argument, list) else argument


def _value(read: Reader, value: Any) -> Any:
    """A constant of the program: a tensor, a Python scalar, a string, or a list of these."""
    if value.type.WhichOneof("type") == "listType":
        return [_value(read, each) for each in value.immediateValue.list.values]
    if value.type.WhichOneof("type") != "tensorType":
        raise UnknownToEvaluator(f"a constant of the type {value.type.WhichOneof('type')}")
    tensor_type = value.type.tensorType
    shape = [dimension.constant.size for dimension in tensor_type.dimensions]
    data_type = data_type_name(tensor_type.dataType)
    if value.WhichOneof("value") == "blobFileValue":
        array = read(data_type, value.blobFileValue.offset)
    else:
        array = _immediate(value.immediateValue.tensor, data_type)
    array = array.reshape(shape)
    return _tensor(array) if shape else array.item()


def _immediate(tensor: Any, data_type: str) -> NDArray[Any]:
    kind = tensor.WhichOneof("value")
    content = getattr(tensor, kind).values
    if kind != "bytes":
        return np.array(content)
    try:
        return np.frombuffer(content, np.dtype(data_type.lower()))
    except TypeError:
        raise UnknownToEvaluator(f"a short constant of the type {data_type}") from None


def _tensor(array: NDArray[Any]) -> Tensor:
    if array.dtype.kind == "f":
        return torch.from_numpy(array.astype(np.float32))
    return torch.from_numpy(array if array.dtype == np.bool_ else array.astype(np.int32))
