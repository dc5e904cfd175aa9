"""The commands as a user meets them."""

import io
import re
import subprocess
import sys

import pytest
from rich.console import Console

from pmsi_mobile.commands import _train_output
from pmsi_mobile.commands._train_output import ConsoleListener, class_names

COMMANDS = [f"pmsi_mobile.commands.{name}" for name in ("birds", "train", "calibrate")]


@pytest.mark.parametrize("module", [*COMMANDS, "pmsi_export.commands.evaluate"])
def test_help_needs_no_torch(module):
    code = (
        f"import sys; sys.argv = ['x', '--help']\nfrom {module} import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout


def test_the_bar_keeps_its_time_left_at_80_columns(monkeypatch):
    screen = io.StringIO()
    narrow = Console(file=screen, force_terminal=True, width=80, legacy_windows=False)
    monkeypatch.setattr(_train_output, "console", narrow)
    losses = {"S3": 1.234, "S4": 1.234, "S5": 1.234, "concat": 1.234}
    with ConsoleListener(lambda: 120) as listener:
        listener.step(99, 1000, 5000, losses, 123.4)
        listener.step(99, 2000, 5000, losses, 123.4)
        listener.bar.refresh()
        line = narrow.render_str(screen.getvalue().splitlines()[-1]).plain
    assert "epoch 100/120" in line
    assert "497000/600000" in line
    assert re.search(r"\d:\d\d:\d\d|-:--:--", line), line
    assert "123.4 img/s" in line


def test_the_first_class_names_are_said_and_how_many_there_are():
    assert class_names(("a", "b")) == "classes: a, b"
    assert class_names([f"c{number}" for number in range(20)]).endswith("c6, c7, ... (20 classes)")
    assert class_names(("[bold]x", "y\x1b[2J")) == "classes: [bold]x, y\\x1b[2J"
