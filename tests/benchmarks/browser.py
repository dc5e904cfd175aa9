"""A page in a real browser."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pmsi_bench.host.browser import find_chromium

CHROMIUM = find_chromium() or ""

needs_browser = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: apt-get install chromium")


def assert_looks_right(page: Path) -> None:
    """Its plots are drawn in the page's colours, and nothing is cut off at the right."""
    shot = page.with_suffix(".png")
    _browse(page, f"--screenshot={shot}", "--window-size=1400,2000")
    picture = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    # The plots' accent is green, the bars are a lighter one.
    assert (picture[..., 1] - picture[..., 0] > 40).sum() > 2000
    # A scroll bar may take the last pixels.
    assert (picture[:, -40:-20] > 240).all()
    assert _browse(page, "--dump-dom").count("<svg") >= 1


def _browse(page: Path, *arguments: str) -> str:
    command = [CHROMIUM, "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    command += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={page.parent}/user"]
    # Chromium refuses its sandbox to root.
    command += ["--no-sandbox"] * (os.geteuid() == 0)
    done = subprocess.run(
        [*command, *arguments, page.as_uri()], capture_output=True, text=True, timeout=500, check=True
    )
    return done.stdout
