"""pmsi-bench, run in this process: a start of Python and its imports would take longer than most of its runs."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

from pmsi_bench.commands.bench import main
from pmsi_bench.results.phone_result import DeviceResult


@dataclass(frozen=True)
class Shown:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> DeviceResult:
        return DeviceResult.model_validate_json(self.out)


def pmsi_bench(*arguments: object) -> Shown:
    """Run the command."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        mock.patch.object(sys, "argv", ["pmsi-bench", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", io.StringIO()),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Shown(code, out.getvalue(), err.getvalue())
