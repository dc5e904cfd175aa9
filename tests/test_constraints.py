"""The versions of constraints.txt, which README has pip install."""

import platform
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"


def test_pip_takes_every_version_on_this_python():
    # uv, which makes this environment, passes over what a package says of later Pythons; pip refuses it.
    pinned = {
        canonicalize_name(Requirement(line).name) for line in CONSTRAINTS.read_text().splitlines() if line[0] != "#"
    }
    installed = {canonicalize_name(found.name): found for found in distributions()}
    checked = pinned & installed.keys()
    assert len(checked) > 100
    refused = {
        f"{name} {installed[name].version} ({needed})"
        for name in checked
        if (needed := installed[name].metadata["Requires-Python"])
        and not SpecifierSet(needed).contains(platform.python_version())
    }
    assert not refused
