"""The command as a user runs it."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pmsi_bench.results.host_result import BenchResult
from pmsi_bench.subjects.collect import find_models, short_names
from pmsi_mobile.errors import PmsiError
from tests.benchmarks.command import pmsi_bench

MakeModel = Callable[[str], Path]


def test_help_answers_without_heavy_imports():
    code = (
        "import sys\nfrom pmsi_bench.commands.bench import main\n"
        "try: main()\nexcept SystemExit: print({'torch', 'numpy', 'matplotlib', 'scipy'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    for option in ("--threads", "--rounds", "--seconds", "--accuracy", "--sweep", "--compare", "--json", "--report"):
        assert option in shown.stdout
    assert shown.stdout.endswith("set()\n")


def test_json_is_all_there_is_on_stdout(onnx_model: MakeModel):
    models = [onnx_model(name) for name in ("one.onnx", "two.onnx")]
    code = "from pmsi_bench.commands.bench import main; main()"
    command = [sys.executable, "-c", code, *models, "--rounds", "6", "--seconds", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    result = BenchResult.model_validate_json(done.stdout)
    assert result.schema_version == 2
    assert result.baseline == "one.onnx"
    assert [file.status for file in result.files] == ["measured", "measured"]
    assert all(file.figures.latency.median_ms > 0 for file in result.files)
    assert len(json.loads(done.stdout)["files"][1]["figures"]["round_medians_ms"]) == result.rounds


def test_folder_table_and_report(onnx_model: MakeModel, tmp_path: Path):
    onnx_model("models/good.onnx")
    onnx_model("models/worse.rejected.onnx")
    page = tmp_path / "report.html"
    done = pmsi_bench(tmp_path / "models", "--rounds", 6, "--seconds", 1, "--report", page)
    assert done.code == 0, done.err
    assert "good.onnx" in done.out
    assert "worse" not in done.out
    assert f"next: pmsi-predict {tmp_path}/models/good.onnx" in done.out.replace("\n", " ")
    assert "good.onnx" in page.read_text()


@pytest.mark.usefixtures("misbehaving_runtime")
def test_failed_file_is_named_and_the_exit_code_is_one(onnx_model: MakeModel):
    done = pmsi_bench(onnx_model("crash.onnx"), "--rounds", 1, "--json")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert done.err.startswith("error: 1 of 1 files could not be measured: crash.onnx (its process ended")
    assert [file.status for file in BenchResult.model_validate_json(done.out).files] == ["failed"]


def test_wrong_use_is_one_line_and_exit_code_two(tmp_path: Path):
    photo = tmp_path / "photo.jpg"
    photo.touch()
    orphan = tmp_path / "orphan.onnx"
    orphan.touch()
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, reason in (
        (tmp_path / "none.onnx", "does not exist"),
        (photo, "is not an exported model"),
        (empty, "has no exported model in it"),
        (orphan, "has no contract inside"),
    ):
        with pytest.raises(PmsiError, match=reason):
            _read_all(path)
    done = pmsi_bench(empty)
    assert done.code == 2
    assert done.err.startswith("error: folder ")
    assert done.err.count("\n") == 1
    assert done.out == ""


def _read_all(path: Path) -> None:
    from pmsi_export.formats.open import read_contract

    for model in find_models([path]):
        read_contract(model)


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children():
        # Others come and go.
        with suppress(psutil.Error):
            if "pmsi_bench.host.worker" in child.cmdline():
                found.append(child)
    return found


@pytest.mark.usefixtures("misbehaving_runtime")
def test_ctrl_c_ends_the_command_and_its_processes(onnx_model: MakeModel):
    code = "from pmsi_bench.commands.bench import main; main()"
    command = subprocess.Popen(
        [sys.executable, "-c", code, onnx_model("hang.onnx")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not (workers := workers_of(command)):
        assert command.poll() is None, command.communicate()
        time.sleep(0.01)
    command.send_signal(signal.SIGINT)
    _, errors = command.communicate(timeout=300)
    assert (command.returncode, errors) == (130, "error: interrupted\n")
    assert not any(worker.is_running() for worker in workers)


def test_odd_names_of_files_do_no_harm_to_reports(onnx_model: MakeModel, tmp_path: Path):
    model = onnx_model("a|$x_{$<b>`,.onnx")
    page, table = tmp_path / "r.html", tmp_path / "r.md"
    done = pmsi_bench(model, "--rounds", 1, "--sustained", 0.02, "--report", page, "--report", table)
    assert done.code == 0, done.err
    assert "a|$x_{$&lt;b&gt;`,.onnx" in page.read_text()
    assert "a\\|$x_{$<b>`,.onnx" in table.read_text()


STEERING = "a\x1b[31m\n\u202eb"


def test_names_do_not_steer_the_terminal(onnx_model: MakeModel, tmp_path: Path):
    model, table = onnx_model(f"{STEERING}.onnx"), tmp_path / f"{STEERING}.md"
    done = pmsi_bench(model, "--rounds", 1, "--report", table)
    assert done.code == 0, done.err
    assert "a\\x1b[31m\\n\\u202eb.onnx (ONNX Runtime, fp32) is the only file" in done.out
    refused = pmsi_bench(tmp_path / f"{STEERING}.none")
    assert refused.code == 2
    for text in (done.out, done.err, refused.err, table.read_text()):
        assert not set("\x1b\u202e") & set(text)
    assert refused.err.count("\n") == 1


def test_of_a_folder_the_fp32_files_come_first(tmp_path: Path):
    names = ("ckpt.onnx", "ckpt.tflite", "ckpt-fp16.onnx", "ckpt-int8.tflite")
    for name in (*names, "ckpt-int8.rejected.onnx", "ckpt.golden.zip"):
        (tmp_path / name).touch()
    assert [model.name for model in find_models([tmp_path])] == list(names)


def test_names_tell_files_apart():
    a, b, c = Path("x/model.onnx"), Path("y/model.onnx"), Path("y/model.tflite")
    assert short_names([a, b, c]) == ["x/model.onnx", "y/model.onnx", "model.tflite"]
    assert short_names([c, c]) == ["model.tflite", "model.tflite (2)"]
