"""What is in an exported file: its operators, which of them the runtime's accelerator takes, its size and its work."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmsi_export.formats.registry import format_of, require
from pmsi_export.runtime.silence import silenced
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import size_bytes

if TYPE_CHECKING:
    from torch import nn

    from pmsi_export.weights.int8 import LayerLoss


@dataclass(frozen=True)
class Operator:
    """One kind of operator. runs_on: the delegate, execution provider or interpreter that runs these `count`."""

    name: str
    count: int
    runs_on: str


@dataclass(frozen=True)
class Diagnosis:
    """What is in a file.

    partitions: how many pieces the delegate was given, null where there is no delegate. macs: multiply-accumulates of
    one image in convolutions and matrix products; parameters: numbers in their weights and biases; both null where
    the file does not show them.
    """

    file: str
    format: str
    bytes: int
    operators: tuple[Operator, ...]
    partitions: int | None = None
    macs: int | None = None
    parameters: int | None = None


def diagnose(path: Path) -> Diagnosis:
    """Look into an exported file with its runtime. Raises PmsiError when it cannot be read."""
    known = format_of(path)
    if not path.exists():
        raise PmsiError(f"model {path} does not exist")
    require(known, known.run_needs)
    try:
        with silenced():
            return _READERS[known.name](path)
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise PmsiError(f"{path} cannot be read as a {known.name} model: {reason}") from None


def diagnose_checkpoint(path: Path) -> Diagnosis:
    """The graph that is exported of a checkpoint, before any converter. Raises PmsiError when it cannot be used."""
    import torch

    from pmsi_export.graph.fold import fold
    from pmsi_mobile.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(path)
    config = checkpoint.config
    graph = fold(checkpoint.network(), config.preprocessing, config.model.mix)
    image = torch.zeros(1, 3, config.preprocessing.crop, config.preprocessing.crop)
    nodes = torch.export.export(graph, (image,)).graph.nodes
    macs, parameters = work(graph, config.preprocessing.crop)
    return Diagnosis(
        file=str(path),
        format="checkpoint",
        bytes=size_bytes(path),
        operators=_count(
            (str(node.target).removeprefix("aten.").removesuffix(".default"), "PyTorch")
            for node in nodes
            if node.op == "call_function"
        ),
        macs=macs,
        parameters=parameters,
    )


def diagnose_int8(path: Path, photos: Sequence[Path]) -> "list[LayerLoss]":
    """What int8 costs at each layer of a checkpoint's graph, on calibration photos. Raises PmsiError."""
    from pmsi_export.graph.fold import fold
    from pmsi_export.runtime.preprocess import load_images
    from pmsi_export.weights import int8 as quantise
    from pmsi_mobile.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(path)
    config = checkpoint.config
    temperature = checkpoint.confidence_of().temperature
    graph = fold(checkpoint.network(), config.preprocessing, config.model.mix, temperature=temperature)
    return quantise.diagnose(graph, load_images(photos, config.preprocessing))


def work(graph: "nn.Module", side: int) -> tuple[int, int]:
    """Multiply-accumulates of one image of `side` x `side` pixels in convolutions and matrix products; parameters."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        graph(torch.zeros(1, 3, side, side))
    return counter.get_total_flops() // 2, sum(parameter.numel() for parameter in graph.parameters())


def _tflite(path: Path) -> Diagnosis:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    # The file's own operators, and after them the partitions that XNNPACK took out of them.
    nodes = interpreter._get_ops_details()
    partitions = [node for node in nodes if node["op_name"] == "DELEGATE"]
    own = [node for node in nodes if node["op_name"] != "DELEGATE"]
    taken = {index for partition in partitions for index in _inside(partition, own)}
    shapes = {tensor["index"]: tuple(map(int, tensor["shape"])) for tensor in interpreter.get_tensor_details()}
    layers = [
        ([shapes[index] for index in node["inputs"][1:3] if index >= 0], shapes[node["outputs"][0]], node["op_name"])
        for node in own
        if node["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    ]
    # Weights are [out, h, w, in], depthwise [1, h, w, out], of a matrix product [out, in].
    work = [prod(out) * prod(w[1:-1] if op.startswith("DEPTHWISE") else w[1:]) for (w, *_), out, op in layers]
    return Diagnosis(
        file=str(path),
        format="tflite",
        bytes=size_bytes(path),
        operators=_count((node["op_name"], "XNNPACK" if node["index"] in taken else "interpreter") for node in own),
        partitions=len(partitions),
        macs=sum(work),
        parameters=sum(prod(shape) for constants, _, _ in layers for shape in constants),
    )


def _inside(partition: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> Iterator[int]:
    """Indices of the nodes that a partition replaces: those between its outputs and its inputs."""
    producers = {int(tensor): node for node in nodes for tensor in node["outputs"]}
    given, wanted, seen = set(map(int, partition["inputs"])), list(map(int, partition["outputs"])), set[int]()
    while wanted:
        node = producers.get(wanted.pop())
        if node is not None and node["index"] not in seen:
            seen.add(node["index"])
            yield node["index"]
            wanted += [int(tensor) for tensor in node["inputs"] if int(tensor) not in given]


def _onnx(path: Path) -> Diagnosis:
    import json

    import numpy as np
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/profile"
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        image = session.get_inputs()[0]
        kind = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}[image.type]
        session.run(None, {image.name: np.zeros(image.shape, kind)})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    # What is left after ONNX Runtime's own optimisation, as it was run.
    ran = [event["args"] for event in events if event["name"].endswith("_kernel_time")]
    macs, parameters = _onnx_work(path)
    return Diagnosis(
        file=str(path),
        format="onnx",
        bytes=size_bytes(path),
        operators=_count((args["op_name"], args["provider"].removesuffix("ExecutionProvider")) for args in ran),
        macs=macs,
        parameters=parameters,
    )


def _onnx_work(path: Path) -> tuple[int | None, int | None]:
    """MACs and parameters of a float or QDQ file; null where the onnx package is missing or a shape is not known."""
    try:
        import onnx
    except ImportError:
        return None, None
    graph = onnx.shape_inference.infer_shapes(onnx.load(str(path))).graph
    shapes: dict[str, tuple[int, ...]] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    constant = set(shapes)
    shapes |= {
        value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
        for value in (*graph.value_info, *graph.output)
    }
    for node in graph.node:
        if node.op_type in ("DequantizeLinear", "Cast", "Transpose") and node.input[0] in constant:
            constant.add(node.output[0])
    layers = [node for node in graph.node if node.op_type in ("Conv", "ConvInteger", "Gemm", "MatMul", "MatMulInteger")]
    if any(name not in shapes for node in layers for name in (*node.input[:3], node.output[0])):
        return None, None
    # A product's weight has its output's features as one of two sides; a convolution's is [out, in, h, w].
    work = [
        prod(shapes[node.output[0]])
        * prod(shapes[node.input[1]])
        // (shapes[node.input[1]][0] if node.op_type.startswith("Conv") else shapes[node.output[0]][-1])
        for node in layers
    ]
    return sum(work), sum(prod(shapes[name]) for node in layers for name in node.input[1:3] if name in constant)


def _executorch(path: Path) -> Diagnosis:
    from executorch.exir._serialize._program import deserialize_pte_binary
    from executorch.exir.schema import DelegateCall, KernelCall

    plan = deserialize_pte_binary(path.read_bytes()).program.execution_plan[0]
    calls = [instruction.instr_args for chain in plan.chains for instruction in chain.instructions]
    delegated = [plan.delegates[call.delegate_index].id for call in calls if isinstance(call, DelegateCall)]
    kernels = [plan.operators[call.op_index] for call in calls if isinstance(call, KernelCall)]
    return Diagnosis(
        file=str(path),
        format="executorch",
        bytes=size_bytes(path),
        operators=_count(
            [("delegate call", name) for name in delegated]
            + [(f"{kernel.name}.{kernel.overload}".rstrip("."), "portable") for kernel in kernels]
        ),
        partitions=len(delegated),
    )


def _torchscript(path: Path) -> Diagnosis:
    import torch

    graph = torch.jit.load(str(path)).inlined_graph
    kinds = (node.kind().removeprefix("aten::") for node in graph.nodes() if node.kind().startswith("aten::"))
    return Diagnosis(
        file=str(path),
        format="torchscript",
        bytes=size_bytes(path),
        operators=_count((kind, "interpreter") for kind in kinds),
    )


def _coreml(path: Path) -> Diagnosis:
    from pmsi_export.formats.coreml.mil.package import main_block, read_specification

    kinds = (operation.type for operation in main_block(read_specification(path)).operations)
    return Diagnosis(
        file=str(path),
        format="coreml",
        bytes=size_bytes(path),
        operators=_count((kind, "the device's choice") for kind in kinds if not kind.startswith("const")),
    )


def _count(operators: Iterable[tuple[str, str]]) -> tuple[Operator, ...]:
    """One entry per name and place, the frequent ones first."""
    return tuple(Operator(name, count, place) for (name, place), count in Counter(operators).most_common())


_READERS: Mapping[str, Callable[[Path], Diagnosis]] = {
    "tflite": _tflite,
    "onnx": _onnx,
    "executorch": _executorch,
    "torchscript": _torchscript,
    "coreml": _coreml,
}
