"""What is wrong with a command line is said before PyTorch is imported, which takes seconds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent / "export" / "fixtures" / "v1"
PHOTO = "text.txt"
CHECKPOINT, MODEL = FIXTURES / "ckpt.pt", FIXTURES / "ckpt.tflite"
# One process for all lines of a command: importing what is left takes most of the time.
CODE = """
import json, sys
from {module} import main
for line in json.loads(sys.argv[1]):
    sys.argv = ["pmsi", *line]
    try:
        main()
    except SystemExit as end:
        print(json.dumps([line, end.code, sorted({{"torch", "torchvision"}} & set(sys.modules))]))
"""
LINES = {
    "pmsi_mobile.commands.train": [
        ["nosuch"],
        ["nosuch", "--from", CHECKPOINT],
        ["photos", "--from", "nosuch.pt"],
        ["photos", "--from", "text.txt"],
        ["photos", "--weights", "nosuch.pt"],
        ["photos", "--weights", "text.txt"],
        ["photos", "--preset", "nosuch"],
        ["photos", "--set", "train.epochs=many"],
        ["photos", "--config", "nosuch.yaml"],
        ["photos", "--split", "nosuch.json"],
        ["photos", "--output", "text.txt"],
        ["photos", "--output", "photos/run"],
        ["photos", "--resume"],
    ],
    "pmsi_export.commands.evaluate": [
        ["nosuch.pt", "photos"],
        ["text.txt", "photos"],
        ["nosuch.tflite", "photos"],
        ["broken.tflite", "photos"],
        [MODEL, "nosuch"],
        [MODEL, "photos"],
        [MODEL, "photos", "--device", "cuda"],
        [MODEL, "photos", "--output", "photos/eval"],
        [CHECKPOINT, "nosuch"],
        [CHECKPOINT, "photos", "--split", "nosuch"],
        [CHECKPOINT, "photos", "--output", "text.txt"],
        [CHECKPOINT, "photos", "--output", "photos/eval"],
    ],
    "pmsi_mobile.commands.data": [
        ["cub", "nosuch.tgz", "new"],
        ["nosuch", "text.txt", "new"],
        ["cub", "text.txt", "new"],
    ],
    "pmsi_mobile.commands.calibrate": [["nosuch.pt", "photos"], [MODEL, "photos"], [CHECKPOINT, "nosuch"]],
    "pmsi_export.commands.export": [
        ["nosuch.pt"],
        ["text.txt"],
        [MODEL],
        [CHECKPOINT, "--format", "nosuch"],
        [CHECKPOINT, "--precision", "nosuch"],
        [CHECKPOINT, "--size", "33"],
        [CHECKPOINT, "--precision", "int8", "--calibration", "nosuch"],
        [CHECKPOINT, "--data", "nosuch"],
        [CHECKPOINT, "--android", "nosuch"],
        [CHECKPOINT, "--output", "text.txt"],
        [CHECKPOINT, "--output", "photos/models", "--data", "photos"],
        ["--info", "nosuch.tflite"],
        ["--diagnose", "nosuch.tflite"],
        ["--diagnose", "nosuch.pt"],
    ],
    "pmsi_export.commands.predict": [
        ["nosuch.pt", PHOTO],
        ["text.pt", PHOTO],
        ["nosuch.tflite", PHOTO],
        ["text.txt", PHOTO],
        [CHECKPOINT, "nosuch.jpg"],
        [CHECKPOINT, "photos"],
    ],
    "pmsi_bench.commands.bench": [
        ["nosuch.tflite"],
        ["nosuch.pt"],
        ["text.txt"],
        ["photos"],
        [MODEL, "--accuracy", "nosuch"],
        [MODEL, "--report", "report.doc"],
        [MODEL, "--baseline", "nosuch"],
        [CHECKPOINT, "--accuracy", "nosuch"],
    ],
}


@pytest.mark.parametrize("module", LINES)
def test_a_wrong_line_is_refused_without_pytorch(module, tmp_path):
    (tmp_path / "photos" / "one").mkdir(parents=True)
    for name in ("text.txt", "text.pt", "broken.tflite"):
        (tmp_path / name).write_text("no tensors")
    lines = json.dumps([[str(word) for word in line] for line in LINES[module]])
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(module=module), lines],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert outcomes == [[line, 2, []] for line in json.loads(lines)], done.stderr
    assert "No such option" not in done.stderr
