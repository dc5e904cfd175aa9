"""Programs that never saw this package open its files as they are. The files are those of `fixtures/`."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from pmsi_export.contract.schema import Contract
from pmsi_export.formats.open import read_contract
from pmsi_export.formats.tflite.metadata import with_metadata
from tests.export.test_fixtures import FOLDER

TFLITE = sorted(FOLDER.glob("*.tflite"))
ONNX = sorted(FOLDER.glob("*.onnx"))

MEDIAPIPE = """
import json, sys
from mediapipe import Image
from mediapipe.tasks.python.core.base_options import BaseOptions
from mediapipe.tasks.python.vision import ImageClassifier, ImageClassifierOptions

photos, models = sys.argv[1].split(":"), sys.argv[2:]
answers = []
for model in models:
    options = ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model), max_results=1)
    with ImageClassifier.create_from_options(options) as classifier:
        results = [classifier.classify(Image.create_from_file(photo)) for photo in photos]
    best = [result.classifications[0].categories[0] for result in results]
    answers.append([[category.category_name, category.score] for category in best])
print(json.dumps(answers))
"""

ONNX_RUNTIME = """
import json, sys
import numpy, onnxruntime
from PIL import Image

model, photo = sys.argv[1:]
options = onnxruntime.SessionOptions()
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
metadata = session.get_modelmeta().custom_metadata_map
if "pmsi.pair_sum" not in metadata:  # The fixtures' int8 file is of 0.1.0: it overflows without VNNI.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
classes, preprocessing = json.loads(metadata["classes"]), json.loads(metadata["preprocessing"])
resize, crop = preprocessing["resize"], preprocessing["crop"]
left = (resize - crop) // 2
resized = Image.open(photo).convert("RGB").resize((resize, resize), Image.Resampling.BILINEAR)
pixels = numpy.asarray(resized.crop((left, left, left + crop, left + crop))).transpose(2, 0, 1)[None]
[given] = session.get_inputs()
kind = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}[given.type]
[probabilities] = session.run(None, {given.name: pixels.astype(kind)})
print(json.dumps([classes[probabilities[0].argmax()], float(probabilities.max())]))
"""

OPENVINO = """
import json, sys
import numpy, openvino

golden, model = sys.argv[1:]
network = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
[given] = network.inputs
rows = []
for image in numpy.load(golden)["images"]:
    pixels = image[None] if model.endswith(".tflite") else image[None].transpose(0, 3, 1, 2)
    rows.append(network([pixels.astype(given.element_type.to_dtype())])[0][0].tolist())
print(json.dumps(rows))
"""

OPENCV = """
import json, sys
import cv2, numpy

golden, model = sys.argv[1:]
network = cv2.dnn.readNetFromONNX(model)
rows = []
for image in numpy.load(golden)["images"]:
    network.setInput(image[None].transpose(0, 3, 1, 2).astype("float32"))
    rows.append(network.forward()[0].tolist())
print(json.dumps(rows))
"""

TENSORFLOW = """
import contextlib, io, json, sys
import numpy, tensorflow

golden, *models = sys.argv[1:]
images = numpy.load(golden)["images"]
results = []
for model in models:
    interpreter = tensorflow.lite.Interpreter(model)
    interpreter.allocate_tensors()
    [given], [output] = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for image in images:
        interpreter.set_tensor(given["index"], image[None].astype(given["dtype"]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(output["index"])[0].tolist())
    with contextlib.redirect_stdout(io.StringIO()) as report:
        tensorflow.lite.experimental.Analyzer.analyze(model_path=model, gpu_compatibility=True)
    results.append([rows, report.getvalue()])
print(json.dumps(results))
"""

JAVA = """
import java.util.zip.ZipFile;

public class Read {
    public static void main(String[] entries) throws Exception {
        for (int i = 0; i < entries.length; i += 2)
            try (ZipFile archive = new ZipFile(entries[i])) {
                System.out.write(archive.getInputStream(archive.getEntry(entries[i + 1])).readAllBytes());
                System.out.write(0);
            }
        System.out.flush();
    }
}
"""


@pytest.fixture(scope="module")
def golden():
    with np.load(FOLDER / "golden.npz") as recorded:
        return dict(recorded)


@pytest.fixture(scope="module")
def photos(golden, tmp_path_factory):
    """The golden images as files."""
    folder = tmp_path_factory.mktemp("golden")
    paths = [folder / f"{number}.png" for number in range(len(golden["images"]))]
    for image, path in zip(golden["images"], paths, strict=True):
        Image.fromarray(image).save(path)
    return paths


def answer(script: str, *arguments: object) -> object:
    """What a script prints as JSON in its last line, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(not find_spec("mediapipe"), reason="needs mediapipe")
def test_mediapipe_takes_the_tflite_as_it_is_and_names_our_class(photos, golden):
    answers = answer(MEDIAPIPE, ":".join(map(str, photos)), *TFLITE)
    for model, named in zip(TFLITE, answers, strict=True):
        classes, ours = read_contract(model).classes, golden[model.name]
        for (name, score), probabilities in zip(named, ours, strict=True):
            assert name == classes[probabilities.argmax()], model
            assert score == pytest.approx(probabilities.max(), abs=0.03), model


@pytest.mark.parametrize("model", ONNX, ids=lambda model: model.name)
def test_onnx_runtime_needs_nothing_but_the_files_metadata(model, tmp_path):
    from pmsi_export.formats.open import load_file
    from pmsi_export.runtime.preprocess import load_image

    photo, contract = tmp_path / "photo.png", read_contract(model)
    gradient = np.linspace(0, 255, 100 * 120 * 3).reshape(100, 120, 3) % 256
    Image.fromarray(gradient.astype(np.uint8)).save(photo)
    probabilities = load_file(model).predict(load_image(photo, contract.preprocessing.for_network()))
    name, probability = answer(ONNX_RUNTIME, model, photo)
    assert name == contract.classes[probabilities.argmax()]
    assert probability == pytest.approx(probabilities.max(), abs=0.01)


@pytest.mark.parametrize("model", ONNX, ids=lambda model: model.name)
def test_an_onnx_file_is_all_there_is_and_of_an_opset_that_old_runtimes_know(model):
    import onnx

    loaded = onnx.load(model, load_external_data=False)
    onnx.checker.check_model(loaded, full_check=True)
    assert (loaded.ir_version, loaded.opset_import[0].version) == (8, 18)
    assert not any(tensor.external_data for tensor in loaded.graph.initializer)
    assert loaded.producer_name == "pmsi-mobile"
    assert "RGB pixels 0..255" in loaded.doc_string


@pytest.mark.skipif(not find_spec("tensorflow"), reason="needs tensorflow")
def test_tensorflows_own_interpreter_agrees_and_its_analyzer_finds_nothing_against_the_gpu(golden):
    results = answer(TENSORFLOW, FOLDER / "golden.npz", *TFLITE)
    for model, (rows, report) in zip(TFLITE, results, strict=True):
        assert np.abs(np.array(rows) - golden[model.name]).max() <= 0.03, model
        assert "compatible with GPU delegate" in report, model
        assert "NOT" not in report, model


def test_older_tflite_runtimes_refuse_what_they_would_compute_wrongly():
    """Kernels before 2.14 (int8) and 2.17 (int8-dynamic) ignore a scale per channel: the version keeps them away."""
    from ai_edge_litert import schema_py_generated as schema

    for precision, version in {"int8": 10, "int8-dynamic": 12}.items():
        model = schema.ModelT.InitFromPackedBuf((FOLDER / f"ckpt-{precision}.tflite").read_bytes())
        versions = {code.builtinCode: code.version for code in model.operatorCodes}
        assert versions[schema.BuiltinOperator.FULLY_CONNECTED] == version
        # Those before 2.14 look for the buffers inside the flatbuffer.
        assert all(buffer.offset == 0 for buffer in model.buffers)


@pytest.mark.parametrize("model", TFLITE, ids=lambda model: model.name)
def test_operators_have_their_number_where_old_readers_look_for_it(model):
    """An operator that ai-edge-quantizer added had none there, and is ADD to such a reader."""
    from ai_edge_litert import schema_py_generated as schema

    written = schema.ModelT.InitFromPackedBuf(with_metadata(model.read_bytes(), read_contract(model)))
    for code in written.operatorCodes:
        assert code.deprecatedBuiltinCode == min(code.builtinCode, 127)


@pytest.mark.skipif(not find_spec("openvino"), reason="needs openvino")
@pytest.mark.parametrize("model", [*TFLITE, *ONNX], ids=lambda model: model.name)
def test_openvino_gives_our_probabilities(model, golden, tmp_path):
    path = tmp_path / model.name
    content = model.read_bytes()
    path.write_bytes(with_metadata(content, read_contract(model)) if model in TFLITE else content)
    assert np.abs(np.array(answer(OPENVINO, FOLDER / "golden.npz", path)) - golden[model.name]).max() <= 0.03


@pytest.mark.skipif(not find_spec("cv2"), reason="needs opencv-python-headless")
def test_opencv_gives_our_probabilities_from_the_onnx(golden):
    assert (
        np.abs(np.array(answer(OPENCV, FOLDER / "golden.npz", FOLDER / "ckpt.onnx")) - golden["ckpt.onnx"]).max()
        <= 1e-4
    )


@pytest.mark.parametrize("model", TFLITE, ids=lambda model: model.name)
def test_buffers_of_a_tflite_are_aligned_as_the_schema_wants(model):
    from ai_edge_litert import schema_py_generated as schema

    content = model.read_bytes()
    packed = schema.Model.GetRootAs(content)
    filled = [buffer for i in range(packed.BuffersLength()) if (buffer := packed.Buffers(i)).DataLength()]
    starts = [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in filled]
    assert {start % 16 for start in starts} == {0}


def test_torchscript_gives_the_contract_as_an_extra_file():
    import torch

    model = FOLDER / "ckpt.ptl"
    text = torch._C.PyTorchFileReader(str(model)).get_record("extra/pmsi.json").decode()
    assert json.loads(text)["classes"] == list(read_contract(model).classes)
    extra = {"pmsi.json": "", "labels.txt": ""}
    torch.jit.load(model, _extra_files=extra)
    assert extra["pmsi.json"].decode() == text
    assert extra["labels.txt"].decode().splitlines() == list(read_contract(model).classes)


def test_executorch_verifies_a_program_with_the_archive_behind_it():
    from executorch.runtime import Runtime, Verification

    for model in FOLDER.glob("*.pte"):
        program = Runtime.get().load_program(model, verification=Verification.InternalConsistency)
        assert program.method_names == {"forward"}


@pytest.mark.skipif(not shutil.which("java"), reason="needs java")
def test_java_reads_labels_and_contract_as_entries_of_a_zip(tmp_path):
    source = tmp_path / "Read.java"
    source.write_text(JAVA)
    models = {FOLDER / "ckpt.tflite": "", FOLDER / "ckpt.pte": "", FOLDER / "ckpt.ptl": "ckpt/extra/"}
    entries = [
        part
        for model, folder in models.items()
        for entry in ("labels.txt", "pmsi.json")
        for part in (model, folder + entry)
    ]
    done = subprocess.run(["java", source, *entries], capture_output=True, check=True)
    texts = done.stdout.decode().split("\0")
    for model, labels, text in zip(models, texts[::2], texts[1::2], strict=False):
        assert labels.splitlines() == list(read_contract(model).classes)
        assert Contract.model_validate_json(text) == read_contract(model)
    assert len(texts) == 2 * len(models) + 1
