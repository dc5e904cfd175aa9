"""TFLite Metadata: what MediaPipe Tasks, ML Kit and Android Studio read in a .tflite file.

Field numbers are those of the public metadata_schema.fbs (file identifier M001). The files that the metadata names,
labels and contract, follow behind the model: see `archive`.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from flatbuffers import Builder
from numpy.typing import NDArray

from pmsi_export.contract.schema import Contract
from pmsi_export.contract.zip_trailer import CONTRACT, LABELS

ALIGNMENT = 16
"""Of a buffer in a TFLite model, in bytes (schema.fbs, force_align)."""
FULLY_CONNECTED_VERSION = {"int8": 10, "int8-dynamic": 12}
"""Precision -> the version that keeps the file from runtimes whose kernel ignores a scale per channel.

ai-edge-quantizer leaves the number of the float graph, with which such a runtime takes the file and computes nonsense:
seen with 2.6 (int8) and 2.15 (int8-dynamic). Version 12 came with 2.17; 2.12 does not know version 10, 2.14 does.
"""
RGB = 1
IMAGE_PROPERTIES, NORMALIZATION_OPTIONS = 2, 1
TENSOR_AXIS_LABELS, TENSOR_VALUE_LABELS = 2, 3


def with_metadata(model: bytes, contract: Contract) -> bytes:
    """A TFLite model with the metadata of `contract`, and with what keeps older runtimes from misreading it.

    Buffers that ai-edge-quantizer puts behind the flatbuffer, where runtimes before 2.14 do not find them, come into
    it; operators say the version that they need, and their number in the place where readers before 2.4, and OpenVINO,
    look for it: ai-edge-quantizer leaves it empty for those that it adds, which is the number of ADD.
    """
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromPackedBuf(model)
    for buffer in tree.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(model, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    for code in tree.operatorCodes:
        code.deprecatedBuiltinCode = min(code.builtinCode, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
    if version := FULLY_CONNECTED_VERSION.get(contract.precision):
        for code in tree.operatorCodes:
            if code.builtinCode == schema.BuiltinOperator.FULLY_CONNECTED:
                code.version = version
    names = {output.tensorIndex: output.name.decode() for output in tree.signatureDefs[0].outputs}
    outputs = [names[index] for index in tree.subgraphs[0].outputs]
    oldest = re.search(r"\d+(\.\d+)+", contract.minimum_runtime)
    added = {
        b"TFLITE_METADATA": _model_metadata(contract, outputs),
        b"min_runtime_version": oldest.group().encode().ljust(ALIGNMENT, b"\0") if oldest else b"",
    }
    tree.metadata = [entry for entry in tree.metadata or [] if entry.name not in added]
    for name, data in added.items():
        tree.metadata.append(schema.MetadataT(name, len(tree.buffers)))
        tree.buffers.append(schema.BufferT(np.frombuffer(data, np.uint8)))
    builder = _AlignedBuilder(len(model) + len(model) // 8)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _AlignedBuilder(Builder):
    """Aligns buffers as the schema wants it, which generated Python code does not."""

    def CreateNumpyVector(self, x: NDArray[np.generic]) -> int:
        if x.dtype == np.uint8:
            self.Prep(ALIGNMENT, x.nbytes)
        return super().CreateNumpyVector(x)


def _model_metadata(contract: Contract, outputs: Sequence[str]) -> bytes:
    builder = Builder()
    text = builder.CreateString
    # Raw pixels: normalisation is in the graph.
    options = _table(builder, {0: _floats(builder, [0.0]), 1: _floats(builder, [1.0])})
    normalisation = _table(builder, {1: options}, {0: NORMALIZATION_OPTIONS})
    content = _table(builder, {1: _table(builder, {}, {0: RGB})}, {0: IMAGE_PROPERTIES})
    image = _table(
        builder,
        {
            0: text(contract.input.name),
            1: text("RGB pixels 0..255"),
            3: content,
            4: _vector(builder, [normalisation]),
        },
    )
    described = []
    labelled = "indices" if contract.output.top_k else contract.output.name
    for name in outputs:
        fields = {0: text(name), 1: text(contract.output.meaning)}
        if name == labelled:
            kind = TENSOR_VALUE_LABELS if contract.output.top_k else TENSOR_AXIS_LABELS
            labels = _table(builder, {0: text(LABELS), 1: text("class names, one a line")}, {2: kind})
            fields[6] = _vector(builder, [labels])
        described.append(_table(builder, fields))
    subgraph = _table(builder, {2: _vector(builder, [image]), 3: _vector(builder, described)})
    attached = _table(builder, {0: text(CONTRACT), 1: text("the artifact contract of pmsi-mobile, JSON")})
    model = _table(
        builder,
        {
            0: text(contract.title),
            1: text(contract.description),
            2: text(contract.checkpoint_sha256[:12]),
            3: _vector(builder, [subgraph]),
            6: _vector(builder, [attached]),
            7: text("1.0.0"),
        },
    )
    builder.Finish(model, b"M001")
    return bytes(builder.Output())


def _table(builder: Builder, offsets: Mapping[int, int], enumerations: Mapping[int, int] | None = None) -> int:
    """A table of fields under their numbers: offsets of strings, vectors and tables; enumerations of one byte."""
    enumerations = enumerations or {}
    builder.StartObject(1 + max([*offsets, *enumerations]))
    for number, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(number, offset, 0)
    for number, value in enumerations.items():
        builder.PrependUint8Slot(number, value, 0)
    return builder.EndObject()


def _vector(builder: Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _floats(builder: Builder, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return builder.EndVector()
