"""The picture of several networks' files."""

import runpy
from pathlib import Path

import pytest

from pmsi_mobile.errors import PmsiError

front = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/front.py"))["front"]
HEADER = "file,parity,median_ms,top1\n"


def test_the_front_is_of_files_that_passed_and_no_other_beats(tmp_path, capsys):
    table = tmp_path / "front.csv"
    rows = (
        "slow,passed,9,0.9",
        "good,passed,5,0.9",
        "fast,passed,1,0.7",
        "worse,passed,2,0.6",
        "wrong,failed,0.1,1",
        "unmeasured,passed,,",
    )
    table.write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    front(table, tmp_path / "front.png")
    assert (tmp_path / "front.png").stat().st_size > 0
    assert capsys.readouterr().out.splitlines()[1:] == ["fast", "good"]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", HEADER, HEADER + "one,passed,fast,0.5\n"])
def test_what_is_no_report_is_one_line(text, tmp_path):
    (tmp_path / "front.csv").write_text(text, encoding="utf-8")
    with pytest.raises(PmsiError, match="CSV report|no file that passed"):
        front(tmp_path / "front.csv", tmp_path / "front.png")
