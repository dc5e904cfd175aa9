"""The export formats, as data."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from pmsi_mobile.errors import PmsiError
from pmsi_mobile.extras import how_to_install

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pmsi_export.contract.schema import Contract, Embedded
    from pmsi_export.graph.fold import MixGraph
    from pmsi_export.runtime.runner import Runner


@dataclass(frozen=True)
class Format:
    """One export format.

    use: where the files run, in words for those who choose. runtime: what runs them, in words for tables;
    runtime_module: the module that brings it into a process. container: where its Container is. precisions: those
    it can be written in -> the oldest runtime that takes the file. refused: the others -> why not, and what to do
    instead. layout: of the input image. convert_needs, run_needs: top-level modules that must be installed.
    half_biases: fp16 files have float16 biases too. paired_sums: its int8 kernels add products in pairs to 16 bits
    on some processors, which `quantise` can keep from overflowing. no_top_k: why a file cannot end in its k largest
    probabilities, and what to do instead. stand_in: `sys.platform` -> what gives a file's numbers where its runtime
    does not exist; its speed says nothing.
    """

    name: str
    suffix: str
    use: str
    runtime: str
    runtime_module: str
    container: str
    precisions: Mapping[str, str]
    refused: Mapping[str, str]
    layout: Literal["NHWC", "NCHW", "image"]
    convert_needs: tuple[str, ...] = ()
    run_needs: tuple[str, ...] = ()
    half_biases: bool = False
    paired_sums: bool = False
    no_top_k: str | None = None
    stand_in: Mapping[str, str] = field(default_factory=dict)

    @property
    def runtime_here(self) -> str:
        """What runs a file on this system, in words for reports."""
        return self.stand_in.get(sys.platform, self.runtime)


class Converter(Protocol):
    """What `pmsi_export.formats.<name>.convert` offers."""

    def convert(
        self, graph: "MixGraph", contract: "Contract", path: Path, calibration: "NDArray[np.uint8] | None" = None
    ) -> None:
        """Write `graph` to `path`, which does not exist yet, in the contract's precision.

        calibration: photos [N, H, W, 3] for int8.
        """


class Loader(Protocol):
    """What `pmsi_export.formats.<name>.load` offers."""

    def load(self, path: Path, threads: int = 1) -> "Runner":
        """Open a file. Raises PmsiError when it cannot be read."""


class Container(Protocol):
    """How a kind of file carries the contract: a module that imports no framework."""

    def embed(self, path: Path, text: str) -> None:
        """Put the contract's JSON into a file."""

    def extract(self, path: Path) -> "Embedded":
        """The contract's JSON in a file, and the digest of the content it belongs to.

        Raises PmsiError for a damaged file.
        """


_WEIGHTS_ONLY = dict.fromkeys(
    ("int8-weights", "palette6", "palette4"), "only Core ML stores weights so; int8 is as small and faster"
)

_ONNX = "ONNX Runtime 1.14 (opset 18, IR 8)"
_MIL_EVALUATOR = "MIL evaluator"

FORMATS: Mapping[str, Format] = {
    format.name: format
    for format in (
        Format(
            name="tflite",
            suffix=".tflite",
            use="Android, embedded Linux (LiteRT, TensorFlow Lite, MediaPipe)",
            runtime="LiteRT",
            runtime_module="ai_edge_litert.interpreter",
            container="pmsi_export.contract.zip_trailer",
            precisions={
                "fp32": "TensorFlow Lite 2.6",
                "fp16": "TensorFlow Lite 2.6",
                "int8": "TensorFlow Lite 2.14",
                "int8-dynamic": "TensorFlow Lite 2.17, LiteRT",
            },
            refused=_WEIGHTS_ONLY,
            layout="NHWC",
            convert_needs=("litert_torch",),
            run_needs=("ai_edge_litert",),
        ),
        Format(
            name="onnx",
            suffix=".onnx",
            use="servers, desktops, Android, browsers (ONNX Runtime)",
            runtime="ONNX Runtime",
            runtime_module="onnxruntime",
            container="pmsi_export.formats.onnx.metadata",
            precisions={"fp32": _ONNX, "fp16": _ONNX, "int8": _ONNX, "int8-dynamic": _ONNX},
            refused=_WEIGHTS_ONLY,
            layout="NCHW",
            convert_needs=("onnx", "onnxscript", "onnxsim"),
            run_needs=("onnxruntime",),
            paired_sums=True,
        ),
        Format(
            name="torchscript",
            suffix=".ptl",
            use="existing apps with PyTorch's Lite interpreter",
            runtime="PyTorch Lite interpreter",
            runtime_module="torch.jit.mobile",
            container="pmsi_export.contract.zip_trailer",
            precisions={"fp32": "PyTorch Lite 2.0", "fp16": "PyTorch Lite 2.0"},
            refused={
                "int8": "PyTorch has retired the Lite interpreter, and its int8 with it; use --format executorch",
                "int8-dynamic": "PyTorch has retired the Lite interpreter, and its int8 with it; use --format tflite",
                **_WEIGHTS_ONLY,
            },
            layout="NCHW",
            convert_needs=("torch",),
            run_needs=("torch",),
        ),
        Format(
            name="coreml",
            suffix=".mlpackage",
            use="iPhone, iPad, Mac (Core ML)",
            runtime="Core ML",
            runtime_module="coremltools",
            container="pmsi_export.formats.coreml.metadata",
            precisions={
                "fp32": "iOS 15, macOS 12",
                "fp16": "iOS 15, macOS 12",
                "int8-weights": "iOS 16, macOS 13",
                "palette6": "iOS 16, macOS 13",
                "palette4": "iOS 16, macOS 13",
            },
            refused={
                "int8": "quantised activations are unpacked again on all but the newest chips, and calibrating them "
                "takes Core ML itself; take int8-weights, computed in float16",
                "int8-dynamic": "Core ML does not quantise activations on the fly; take int8-weights",
            },
            layout="image",
            convert_needs=("coremltools",),
            run_needs=("coremltools",),
            half_biases=True,
            no_top_k="its classifiers give a dictionary of all classes: sort it in the app",
            stand_in={"linux": _MIL_EVALUATOR, "win32": _MIL_EVALUATOR},
        ),
        Format(
            name="executorch",
            suffix=".pte",
            use="Android, iPhone (ExecuTorch)",
            runtime="ExecuTorch",
            runtime_module="executorch.runtime",
            container="pmsi_export.contract.zip_trailer",
            precisions={"fp32": "ExecuTorch 1.0", "int8": "ExecuTorch 1.0"},
            refused={
                "fp16": "XNNPACK computes it in 16-bit arithmetic, which misses the gate on MobileNetV2 (0.12 against "
                "0.02), and the file is hardly smaller; use --precision int8",
                "int8-dynamic": "XNNPACK quantises only linear layers on the fly, most of the work is in convolutions; "
                "use --precision int8",
                **_WEIGHTS_ONLY,
            },
            layout="NCHW",
            convert_needs=("executorch",),
            run_needs=("executorch",),
        ),
    )
}


PRECISIONS = ("fp32", "fp16", "int8", "int8-dynamic", "int8-weights", "palette6", "palette4")
"""int8: static, full integer. int8-dynamic: int8 weights, float activations made int8 on the fly. int8-weights,
palette6, palette4: 8, 6 or 4 bits of storage, computed in float."""

INT8_WEIGHTS = ("int8", "int8-dynamic")
"""Those that the rounding of `quantise` serves: int8 weights with a scale per channel, depthwise ones too. Only int8
cannot do without calibration photos."""
COMPRESSED = ("int8-weights", "palette6", "palette4")
"""Those that the rounding of `compress` serves, with calibration photos where there are any."""


def refusal(known: Format, precision: str, top_k: int | None = None, unknown_score: bool = False) -> str | None:
    """Why a format has no such precision, or not with these outputs, and what to do instead; None when it has."""
    if top_k and known.no_top_k:
        return f"with --top-k: {known.no_top_k}"
    if precision not in known.precisions:
        return f"in {precision}: {known.refused[precision]}"
    if unknown_score and precision in COMPRESSED:
        return f"in {precision} with --unknown-score: coremltools compresses no classifier with two outputs; take fp16"
    return None


def get_format(name: str) -> Format:
    """Raises PmsiError for an unknown name."""
    if name not in FORMATS:
        raise PmsiError(f"unknown format '{name}': choose from {', '.join(FORMATS)}")
    return FORMATS[name]


def format_of(path: Path) -> Format:
    """The format of an exported file, by its suffix. Raises PmsiError when no format has it."""
    for known in FORMATS.values():
        if path.suffix == known.suffix:
            return known
    suffixes = ", ".join(known.suffix for known in FORMATS.values())
    raise PmsiError(f"{path} is not an exported model: its suffix should be one of {suffixes}")


def is_exported(path: Path) -> bool:
    """Whether its name is that of an exported file; other names are those of checkpoints."""
    return any(path.suffix == known.suffix for known in FORMATS.values())


def require(known: Format, modules: tuple[str, ...]) -> None:
    """Raise PmsiError, saying what to install, unless all `modules` of the format are there."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise PmsiError(
            f"format {known.name} needs {', '.join(missing)}, which is not installed: {how_to_install(*missing)}"
        )


def converter(known: Format) -> Converter:
    return cast(Converter, import_module(f"pmsi_export.formats.{known.name}.convert"))


def loader(known: Format) -> Loader:
    return cast(Loader, import_module(f"pmsi_export.formats.{known.name}.load"))


def container(known: Format) -> Container:
    return cast(Container, import_module(known.container))
