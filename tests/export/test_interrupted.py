"""Killed at any moment or on a full disk, an export leaves no half-written file under a final name."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pmsi_export.contract.schema import Contract, Parity, parse_contract, seal, sidecar_path
from pmsi_export.formats.open import load_file, read_contract
from pmsi_export.formats.registry import FORMATS, container
from pmsi_export.jobs.exporter import _put_in_place, export
from pmsi_export.jobs.job import Job
from pmsi_export.jobs.staging import PREFIX, put_in_place, staging
from tests.export.test_embed import contract_of, plain_model

SCRIPT = Path(sys.executable).with_name("pmsi-export")


def start(*arguments: object, code: str | None = None) -> subprocess.Popen[str]:
    """pmsi-export, or `code` in its place, in a process group of its own."""
    return subprocess.Popen(
        [*([sys.executable, "-c", code] if code else [SCRIPT]), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(happened: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not happened():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def kill_group(process: subprocess.Popen[str]) -> None:
    """Until the last of the group is gone: a large process takes a while to die, its lock is held until then."""
    group = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    psutil.wait_procs(group, timeout=300)


def hidden(folder: Path) -> list[Path]:
    return list(folder.glob(f"{PREFIX}*"))


def beside(model: Path) -> Contract:
    return parse_contract(sidecar_path(model).read_text(encoding="utf-8"), model)


def check_final_names(folder: Path) -> None:
    """Every file is whole, with its own contract inside and no other's beside it."""
    for model in folder.iterdir():
        if model.suffix in {known.suffix for known in FORMATS.values()}:
            load_file(model)
            if sidecar_path(model).exists():
                assert beside(model) == read_contract(model)


def test_whenever_an_export_is_killed_no_half_file_has_a_final_name(checkpoint, tmp_path):
    """The earlier file stays until the new one takes its place; the next export works and tidies up."""
    model = tmp_path / "ckpt.ptl"
    job = Job(checkpoint, "torchscript", "fp32", tmp_path, "ckpt")
    export(job)
    earlier = model.stat().st_ino
    moments: dict[str, Callable[[], object]] = {
        "the staging folder is there": lambda: hidden(tmp_path),
        "something is written to it": lambda: list(tmp_path.glob(f"{PREFIX}*/ckpt.ptl")),
        "the new file has its name": lambda: model.stat().st_ino != earlier,
    }
    for moment, happened in moments.items():
        command = start(checkpoint, "--format", "torchscript", "--output", tmp_path)
        wait_until(happened, command)
        kill_group(command)
        assert model.exists(), moment
        check_final_names(tmp_path)
    export(job)
    check_final_names(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"ckpt.golden.zip", "ckpt.ptl", "ckpt.ptl.json", "ckpt.ptl.log"}


def test_a_converter_that_is_killed_takes_only_its_own_row(checkpoint, tmp_path):
    command = start(checkpoint, "--format", "onnx", "--format", "torchscript", "--output", tmp_path, "--json")
    log = tmp_path / "ckpt.onnx.log"

    def converter() -> psutil.Process | None:
        children = psutil.Process(command.pid).children()
        return next((child for child in children if str(log) in {file.path for file in child.open_files()}), None)

    wait_until(lambda: log.exists() and hidden(tmp_path) and converter(), command)
    converter().kill()
    output, errors = command.communicate()
    assert command.returncode == 1
    onnx, torchscript = json.loads(output)
    assert onnx["status"] == "failed"
    assert onnx["reason"].startswith("the converter was killed by SIGKILL (out of memory?)")
    assert torchscript["status"] == "exported"
    assert errors.splitlines()[-1].startswith("error: 1 of 2 files failed: ckpt.onnx (the converter was killed")
    check_final_names(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".log", ".ptl", ".json", ".txt", ".zip", ".md"}


def test_an_interrupted_command_ends_its_converters_and_begins_no_other(checkpoint, tmp_path):
    formats = ("onnx", "executorch", "tflite", "torchscript")
    # On many cores all four would begin at once.
    code = "import os; os.cpu_count = lambda: 2\nfrom pmsi_export.commands.export import main; main()"
    command = start(checkpoint, *(f"--format={name}" for name in formats), "--output", tmp_path, code=code)
    wait_until(lambda: list(tmp_path.glob("*.log")), command)
    command.send_signal(signal.SIGINT)
    _, errors = command.communicate(timeout=300)
    assert (command.returncode, errors) == (130, "error: interrupted\n")
    assert {path.suffix for path in tmp_path.iterdir()} == {".log"}
    assert len(list(tmp_path.iterdir())) < len(formats)


def in_own_mounts(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, timeout=500)


@pytest.mark.skipif(not shutil.which("unshare"), reason="a disk of its own needs Linux's unshare")
def test_a_full_disk_is_an_error_of_one_line(checkpoint, tmp_path):
    mount = f"mount -t tmpfs -o size=2m tmpfs {tmp_path}"
    if in_own_mounts(mount).returncode:
        pytest.skip("no disk of its own: the kernel lets this user mount nothing")
    done = in_own_mounts(
        f"{mount} && {SCRIPT} {checkpoint} --format torchscript --output {tmp_path} >&2; echo $?; ls -A {tmp_path}"
    )
    status, *files = done.stdout.split()
    assert status == "1"
    assert files == ["ckpt.ptl.log"]
    *_, last = done.stderr.splitlines()
    assert last.startswith("error: 1 of 1 files failed: ckpt.ptl (")
    assert "no space left on" in last.lower()


def place_file(folder: Path, number: int, status: str) -> None:
    """The last part of an export: its file `number`, with a verdict, takes its name."""
    module = container(FORMATS["tflite"])
    with staging(folder) as unfinished:
        staged = plain_model("tflite", unfinished / "ckpt.tflite", number)
        parity = Parity(status=status, gate="some gate")
        contract = contract_of("tflite", module.extract(staged).content_sha256).model_copy(update={"parity": parity})
        text = seal(contract)
        module.embed(staged, text)
        _put_in_place(staged, folder / staged.name, text, rejected=status == "failed")


def place_folder(folder: Path, number: int) -> None:
    with staging(folder) as unfinished:
        staged = unfinished / "ckpt.mlpackage"
        (staged / "Data").mkdir(parents=True)
        for part in ("Manifest.json", "Data/weights"):
            (staged / part).write_text(f"{number}")
        put_in_place(staged, folder / staged.name)


def killed_at_every_step(root: Path, place: Callable[[Path, int], None]) -> Iterator[Path]:
    """Folders with a first file, in which the process that wrote a second was killed ever later, and one where it was
    not. A step is one call to the file system, as Python's audit events tell."""
    for step in range(200):
        folder = root / str(step)
        place(folder, 1)
        child = os.fork()
        if child == 0:
            try:
                die_before(step)
                place(folder, 2)
            finally:
                os._exit(0)
        _, end = os.waitpid(child, 0)
        yield folder
        if os.WIFEXITED(end):
            assert step > 10
            return
    pytest.fail("there is no end of steps")


def die_before(step: int) -> None:
    steps = itertools.count()

    def die(event: str, arguments: tuple[object, ...]) -> None:
        if event.startswith(("open", "os.", "shutil.")) and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("status", ["passed", "failed"])
def test_a_contract_never_lies_beside_the_file_of_another(tmp_path, status):
    numbers = []
    for folder in killed_at_every_step(tmp_path, lambda folder, number: place_file(folder, number, status)):
        (model,) = (path for path in folder.iterdir() if path.suffix == ".tflite")
        contract = read_contract(model)
        assert not sidecar_path(model).exists() or beside(model) == contract
        numbers.append(int(b"weight 2 " in model.read_bytes()))
    assert numbers == sorted(numbers)
    assert set(numbers) == {0, 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_file_that_is_rejected_takes_an_earlier_good_one_away_only_once_it_is_there(tmp_path):
    def place(folder: Path, number: int) -> None:
        place_file(folder, number, "passed" if number == 1 else "failed")

    left = [
        {path.name for path in folder.iterdir() if path.suffix == ".tflite" and read_contract(path)}
        for folder in killed_at_every_step(tmp_path, place)
    ]
    good, rejected = "ckpt.tflite", "ckpt.rejected.tflite"
    assert all(names in ({good}, {good, rejected}, {rejected}) for names in left)
    assert (left[0], left[-1]) == ({good}, {rejected})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_folder_has_its_name_only_when_it_is_whole(tmp_path):
    held = set()
    for folder in killed_at_every_step(tmp_path, place_folder):
        package = folder / "ckpt.mlpackage"
        held.add(tuple((package / part).read_text() for part in ("Manifest.json", "Data/weights") if package.exists()))
    # For a moment there is none: one folder cannot take the place of another in one step.
    assert held == {("1", "1"), (), ("2", "2")}


def test_a_staging_folder_in_use_is_left_alone_and_an_abandoned_one_goes(tmp_path):
    abandoned = tmp_path / f"{PREFIX}of-a-killed-process"
    abandoned.mkdir()
    (abandoned / "half").write_bytes(b"half")
    with staging(tmp_path) as first:
        assert not abandoned.exists()
        with staging(tmp_path) as second:
            assert first.is_dir()
            assert first != second
    assert not hidden(tmp_path)
