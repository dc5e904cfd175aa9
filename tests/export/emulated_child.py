"""Runs under qemu: `emulated_child.py MODEL IN.npy OUT.npy [KEY=VALUE...]`. IN: the model's own inputs, one after
another; the pairs are for ONNX Runtime's session.

Needs numpy and the file's runtime, nothing of this project.
"""

import sys

import numpy as np


def run_tflite(model: str, inputs: np.ndarray, pairs: list[str]) -> list[np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    image, output = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    outputs = []
    for native in inputs:
        interpreter.set_tensor(image, native)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(output)[0])
    return outputs


def run_onnx(model: str, inputs: np.ndarray, pairs: list[str]) -> list[np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for pair in pairs:
        options.add_session_config_entry(*pair.split("="))
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return [session.run(None, {name: native})[0][0] for native in inputs]


if __name__ == "__main__":
    path, source, target, *given = sys.argv[1:]
    run = run_tflite if path.endswith(".tflite") else run_onnx
    np.save(target, np.stack(run(path, np.load(source), given)))
