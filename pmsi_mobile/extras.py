"""Which extra of this package brings which other one."""

EXTRAS = {
    "accelerate": "train",
    "safetensors": "train",
    "tensorboard": "train",
    "torch": "train",
    "torchvision": "train",
    "timm": "timm",
    "ray": "ray",
    "ai_edge_litert": "litert",
    "onnxruntime": "onnxruntime",
    "litert_torch": "tflite",
    "litert_converter": "tflite",
    "ai_edge_quantizer": "tflite",
    "flatbuffers": "tflite",
    "onnx": "onnx",
    "onnxscript": "onnx",
    "onnxsim": "onnx",
    "coremltools": "coreml",
    "executorch": "executorch",
    "torchao": "executorch",
    "jinja2": "bench",
    "matplotlib": "bench",
    "scipy": "bench",
    "cleanlab": "report",
    "imagehash": "report",
    "adbutils": "android",
    "pillow_heif": "heif",
}
"""Top-level module -> the smallest extra that installs it."""


def how_to_install(*modules: str) -> str:
    """`pip install 'pmsi-mobile[...]'` for modules of EXTRAS."""
    extras = dict.fromkeys(EXTRAS[module] for module in modules)
    return f"pip install 'pmsi-mobile[{','.join(extras)}]'"
