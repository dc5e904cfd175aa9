"""The pretended `benchmark_model`: prints what the real one prints, and really runs the .tflite file for its outputs.

The latencies are made up: about one microsecond for each 100 bytes of the file.
"""

import random
from pathlib import Path

import numpy as np

from tests.benchmarks.phone.adbd.phone import Phone

MACHINES = {"arm64-v8a": 183, "armeabi-v7a": 40, "x86_64": 62}
"""ABI -> machine in an ELF header."""
_FLAGS = {
    "graph", "num_threads", "num_runs", "min_secs", "max_secs", "warmup_runs", "warmup_min_secs", "use_xnnpack",
    "use_gpu", "use_nnapi", "input_layer", "input_layer_shape", "input_layer_value_files", "enable_op_profiling",
    "profiling_output_csv_file", "report_peak_memory_footprint",
}  # fmt: skip


def tool_binary(abi: str = "arm64-v8a") -> bytes:
    """What stands for the program in a push: an ELF header of that ABI."""
    wide = abi != "armeabi-v7a"
    header = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    return header + (3).to_bytes(2, "little") + MACHINES[abi].to_bytes(2, "little") + b"pretended benchmark_model" * 40


def run_tool(phone: Phone, arguments: list[str]) -> tuple[int, str]:
    """Exit code and output of one run."""
    flags = dict(argument.lstrip("-").split("=", 1) for argument in arguments)
    old = phone.build == "old"
    known = _FLAGS if old else (_FLAGS | {"output_filepath"}) - {"use_nnapi"}
    unknown = [argument for argument in arguments if argument.lstrip("-").split("=")[0] not in known]
    prefix = "" if old else "INFO: "
    lines = ["STARTING!", *([f"Unconsumed cmdline flags: {' '.join(unknown)}"] if unknown else [])]
    model = phone.path(flags["graph"])
    lines += [f"Graph: [{flags['graph']}]", f"Loaded model {flags['graph']}", *_delegation(phone, flags)]
    if phone.gpu == "refused" and "use_gpu" in flags:
        lines = [f"INFO: {line}" for line in lines]
        lines += ["ERROR: Following operations are not supported by GPU delegate:", "EXP: Operation is not supported."]
        return 1, "\n".join([*lines, "ERROR: Failed to apply GPU delegate.", "ERROR: Benchmarking failed."]) + "\n"
    pace = model.stat().st_size / 100 * (0.5 if "use_gpu" in flags else 1)
    warm_up = _latencies(pace, int(flags["warmup_runs"]))
    runs = _latencies(pace, int(flags["num_runs"]))
    lines += [
        f"The input model file size (MB): {model.stat().st_size / 1e6:g}",
        "Initialized session in 12.5ms.",
        "Running benchmark for at least 1 iterations and at least 0 seconds but terminate if exceeding 150 seconds.",
        f"{_statistics(warm_up, percentiles=not old)}\n",
        "Running benchmark for at least 1 iterations and at least 0 seconds but terminate if exceeding 150 seconds.",
        f"{_statistics(runs, percentiles=not old)}\n",
        f"Inference timings in us: Init: 12500, First inference: {warm_up[0] if warm_up else 0}, "
        f"Warmup (avg): {np.mean(warm_up or [0]):g}, Inference (avg): {np.mean(runs):g}",
        "Memory footprint delta from the start of the tool (MB): init=24.6719 overall=31.2852",
    ]
    if "report_peak_memory_footprint" in flags:
        lines.append("Overall peak memory footprint (MB) via periodic monitoring: 38.5")
    if "output_filepath" in flags and "output_filepath" in known and phone.build != "writes nothing":
        phone.path(flags["output_filepath"]).write_bytes(_outputs(phone, model, flags))
    if "profiling_output_csv_file" in flags:
        profile = Path(__file__).parent.parent / "outputs" / "profile.csv"
        phone.path(flags["profiling_output_csv_file"]).write_text(profile.read_text())
    return 0, "".join(f"{prefix}{line}\n" for line in lines)


def _delegation(phone: Phone, flags: dict[str, str]) -> list[str]:
    if "use_gpu" in flags:
        return [
            "Initialized OpenCL-based API.",
            "Replacing 99 out of 99 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 1 partitions for "
            "subgraph 0.",
            "Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.",
        ]
    if "use_nnapi" in flags and phone.build == "old":
        # What follows is the XNNPACK that it takes of its own accord.
        return [
            "Replacing 97 out of 99 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 2 partitions.",
            "Though NNAPI delegate is explicitly applied, the model graph will not be executed by the delegate.",
        ]
    return [
        "Replacing 97 out of 99 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 2 partitions for "
        "subgraph 0.",
        "Explicitly applied XNNPACK delegate, and the model graph will be partially executed by the delegate w/ 1 "
        "delegate kernels.",
    ]


def _latencies(pace: float, count: int) -> list[int]:
    return [round(pace * random.lognormvariate(0, 0.01)) for _ in range(count)]


def _statistics(values: list[int], *, percentiles: bool) -> str:
    if not values:
        return "count=0" + (" p5=0 median=0 p95=0" if percentiles else "")
    if min(values) == max(values):
        text = f"count={len(values)} curr={values[-1]}" + ("(all same)" if len(values) > 1 else "")
    else:
        text = (
            f"count={len(values)} first={values[0]} curr={values[-1]} min={min(values)} max={max(values)} "
            f"avg={np.mean(values):g} std={int(np.std(values))}"
        )
    if percentiles:
        p5, median, p95 = (sorted(values)[len(values) * percent // 100] for percent in (5, 50, 95))
        text += f" p5={p5} median={median} p95={p95}"
    return text


def _outputs(phone: Phone, model: Path, flags: dict[str, str]) -> bytes:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    _, _, path = flags["input_layer_value_files"].partition(":")
    data = phone.path(path).read_bytes()
    interpreter.set_tensor(details["index"], np.frombuffer(data, details["dtype"]).reshape(details["shape"]))
    interpreter.invoke()
    outputs = [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]
    if "use_gpu" in flags:
        outputs = [phone.on_gpu(output) for output in outputs]
    return b"".join(output.tobytes() for output in outputs)
