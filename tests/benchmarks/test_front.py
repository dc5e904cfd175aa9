"""The picture of several networks' files."""

import runpy
from pathlib import Path

import pytest

from pmsi_mobile.errors import PmsiError

front = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/front.py"))["front"]
HEADER = "file,runtime,precision,parity,median_ms,top1\n"


def test_the_front_is_of_files_that_passed_and_no_other_beats(tmp_path, capsys):
    table = tmp_path / "front.csv"
    rows = [
        "slow.onnx,ORT,fp32,passed,9,0.9",
        "good.onnx,ORT,fp32,passed,5,0.9",
        "fast-int8.onnx,ORT,int8,passed,1,0.7",
        "worse.onnx,ORT,fp32,passed,2,0.6",
        "wrong.onnx,ORT,fp32,failed,0.1,1",
        "unmeasured.onnx,ORT,fp32,passed,,",
    ]
    table.write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    front(table, tmp_path / "front.png")
    assert (tmp_path / "front.png").stat().st_size > 0
    assert capsys.readouterr().out.splitlines()[1:] == ["fast-int8.onnx", "good.onnx"]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", HEADER, HEADER + "one.onnx,ORT,fp32,passed,fast,0.5\n"])
def test_what_is_no_report_is_one_line(text, tmp_path):
    (tmp_path / "front.csv").write_text(text, encoding="utf-8")
    with pytest.raises(PmsiError, match=r"CSV report|no file that passed"):
        front(tmp_path / "front.csv", tmp_path / "front.png")
