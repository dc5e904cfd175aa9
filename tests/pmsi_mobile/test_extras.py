"""A package that is missing is named with the extra that brings it."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from pmsi_mobile.console.reasons import reason
from pmsi_mobile.extras import EXTRAS, how_to_install

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(extra: str) -> set[str]:
    """Names of the distributions that an extra asks for, those of extras that it takes in included."""
    names: set[str] = set()
    for line in PYPROJECT["optional-dependencies"][extra]:
        name, _, inner = re.fullmatch(r"([\w.-]+)(\[([\w,]+)\])?.*", line).groups()
        names |= {normalised(name)} if not inner else set().union(*map(requirements, inner.split(",")))
    return names


@pytest.mark.parametrize("module", EXTRAS)
def test_an_extra_brings_the_module_or_what_depends_on_it(module):
    provided = packages_distributions().get(module)
    if provided is None:
        pytest.skip(f"{module} is not installed here")
    asked = requirements(EXTRAS[module])
    # A dependency of one that is asked for comes along.
    along = {"litert-converter": "litert-torch", "flatbuffers": "ai-edge-quantizer", "torchao": "executorch"}
    assert {along.get(normalised(name), normalised(name)) for name in provided} & asked


def test_all_is_everything_and_the_smallest_install_holds_no_framework():
    everything = requirements("all")
    assert everything >= set().union(*(requirements(extra) for extra in set(EXTRAS.values())))
    core = {normalised(re.match(r"[\w.-]+", line).group()) for line in PYPROJECT["dependencies"]}
    assert core == {"numpy", "pillow", "pydantic", "pyyaml", "rich", "typer"}


def test_a_missing_package_is_one_line_with_its_extra():
    error = ModuleNotFoundError("No module named 'torch'", name="torch")
    assert reason(error) == "this needs torch, which is not installed: pip install 'pmsi-mobile[train]'"
    assert reason(ModuleNotFoundError("No module named 'nobody'", name="nobody")).startswith("ModuleNotFoundError")
    assert how_to_install("onnx", "onnxruntime") == "pip install 'pmsi-mobile[onnx,onnxruntime]'"


def test_a_command_without_pytorch_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None; sys.argv = ['pmsi-eval', 'ckpt.pt', 'photos']\n"
        "from pmsi_export.commands.evaluate import main; main()"
    )
    shutil.copy(ROOT / "tests/export/fixtures/v1/ckpt.pt", tmp_path)
    (tmp_path / "photos").mkdir()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: this needs torch, which is not installed: pip install")
