"""The built wheel, installed into empty environments, does what the README says: `python tests/packaging.py DIST`.

Two environments: the smallest one that predicts (`[litert]`), and one that exports (`[onnx,timm]`).
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "tests" / "export" / "fixtures" / "v1"
HEAVY = {"torch", "torchvision", "tensorflow", "scipy", "matplotlib"}


def main(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        photo = folder / "photo.png"
        small = install(wheel, "litert", folder / "small")
        installed = {path.name.lower() for path in (small.parent / "lib").glob("python*/site-packages/*")}
        assert not HEAVY & installed, f"the small install has {HEAVY & installed}"
        for package in ("pmsi_mobile", "pmsi_export", "pmsi_bench"):
            files = next((small.parent / "lib").glob(f"python*/site-packages/{package}"))
            assert (files / "py.typed").is_file(), f"{package} has no py.typed"
        page = next((small.parent / "lib").glob("python*/site-packages/pmsi_export/web/page"))
        assert {"index.html", "app.css", "sw.js", "js", "icons"} <= {path.name for path in page.iterdir()}
        run(small / "python", "-c", f"from PIL import Image; Image.new('RGB', (80, 80), 'teal').save({str(photo)!r})")
        run(small / "pmsi-predict", FIXTURES / "ckpt.tflite", photo)
        run(small / "pmsi-export", "--info", FIXTURES / "ckpt.tflite")
        print(f"small install: {megabytes(small.parent):.0f} MB")

        whole = install(wheel, "onnx,timm", folder / "whole")
        for command in (
            "train",
            "eval",
            "calibrate",
            "export",
            "predict",
            "bench",
            "sweep",
            "reproduce",
            "explain",
            "data",
            "birds",
        ):
            run(whole / f"pmsi-{command}", "--help")
        run(whole / "python", "-c", "import pmsi_mobile, pmsi_export, pmsi_bench; print(pmsi_mobile.__version__)")
        run(whole / "pmsi-export", "--format", "onnx", FIXTURES / "ckpt.pt", "--output", folder / "models")
        run(whole / "pmsi-predict", folder / "models" / "ckpt.onnx", photo)
        run(whole / "pmsi-train", "--print-config")


def install(wheel: Path, extra: str, folder: Path) -> Path:
    """A new environment with the wheel and an extra, in the versions of constraints.txt; returns its bin folder."""
    uv = Path(sys.executable).with_name("uv")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    constraint = ROOT / "constraints.txt"
    run(uv, "pip", "install", "--quiet", "--python", python, "--constraint", constraint, f"{wheel}[{extra}]")
    return folder / "bin"


def run(*command: object) -> None:
    """Raises SystemExit with the command's output where it fails."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, cwd=tempfile.gettempdir(), env=environment, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink()) / 1e6


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
