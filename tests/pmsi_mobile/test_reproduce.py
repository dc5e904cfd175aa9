"""The paper's tables: their plans, what the paper prints, and one of them from training to the page."""

import csv

import pytest

from pmsi_mobile.commands.reproduce import main
from pmsi_mobile.data.birds import write_birds
from pmsi_mobile.data.official import PUBLISHED
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.experiments.plan import read_plan
from pmsi_mobile.experiments.reproduced import collect, markdown
from pmsi_mobile.experiments.reproduction import TABLES, Budget, printed, read_reproduction, write_plan
from tests.pmsi_mobile.runs import call

TINY = (
    "model.weights=none", "model.width=16", "model.hidden=8", "preprocessing.resize=40", "preprocessing.crop=32",
    "mosaic.max_recursion=2", "train.batch_size=4", "data.workers=0",
)  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_every_row_and_column_has_what_the_paper_prints_and_a_plan_at_both_scales(name, tmp_path):
    table = read_reproduction(name)
    for data, rows in table.paper.items():
        assert data in PUBLISHED
        assert list(rows) == list(table.recipes)
        assert {len(values) for values in rows.values()} == {len(table.columns)}
    for scale, side in (("paper", 448), ("small", 96)):
        write_plan(table, Budget(scale), tmp_path / "plan.yaml")
        plan = read_plan(tmp_path / "plan.yaml")
        assert plan.recipes == tuple(table.recipes)
        assert {run.config.preprocessing.crop for run in plan.runs} == {side}
        if scale == "paper":
            assert {run.config.train.epochs for run in plan.runs} == {150}


def test_a_budget_in_passes_gives_a_method_with_more_phases_fewer_epochs(tmp_path):
    for budget in (Budget("small"), Budget("paper", passes=12)):
        write_plan(read_reproduction("table3"), budget, tmp_path / "plan.yaml")
        epochs = {run.recipe: run.config.train.epochs for run in read_plan(tmp_path / "plan.yaml").runs}
        assert epochs == {"baseline": 12, "+ M": 12, "+ P": 3, "+ P & M": 3, "+ P & R": 3, "+ P & M & R": 3}
    write_plan(read_reproduction("table2"), Budget("small"), tmp_path / "plan.yaml")
    stages = {run.config.model.stages: run.config.train.epochs for run in read_plan(tmp_path / "plan.yaml").runs}
    assert stages == {1: 6, 2: 4, 3: 3, 4: 2, 5: 2}
    with pytest.raises(PmsiError, match="--epochs and --passes"):
        write_plan(read_reproduction("table3"), Budget("small", epochs=1, passes=4), tmp_path / "plan.yaml")


def test_a_budget_overrules_the_scale(tmp_path):
    write_plan(read_reproduction("table5"), Budget("paper", epochs=7, seeds=2, size=224), tmp_path / "plan.yaml")
    plan = read_plan(tmp_path / "plan.yaml")
    assert plan.seeds == (0, 1)
    [config] = [run.config for run in plan.runs if run.recipe == "API" and run.seed == 0]
    assert (config.train.epochs, config.preprocessing.crop, config.preprocessing.resize) == (7, 224, 256)
    assert (config.method, config.train.batch_size, config.train.lr_backbone) == ("api", 120, 1e-4)


def test_cells_are_means_over_seeds_of_folds_weighted_by_their_photos(tmp_path):
    table = read_reproduction("table3")
    write_plan(table, Budget("small"), tmp_path / "plan.yaml")
    plan = read_plan(tmp_path / "plan.yaml")
    shares = {(0, 0): (0.8, 30), (1, 0): (0.5, 10), (0, 1): (0.9, 30), (1, 1): (0.7, 10)}
    for run in plan.runs:
        if run.recipe in ("baseline", "+ P & M & R"):
            folder = tmp_path / run.folder
            folder.mkdir(parents=True)
            (folder / "predictions.csv").touch()
            top1, photos = shares[run.fold, run.seed]
            heads = ("baseline",) if run.recipe == "baseline" else ("S3", "concat", "mix")
            rows = "".join(f"test,{photos},{head},{top1},1\n" for head in heads)
            (folder / "heads.csv").write_text(f"split,photos,head,top1,top5\nval,1,mix,0,0\n{rows}")
    block = collect(table, plan, tmp_path, "mine", printed(table, "class folders"))
    cells = {(cell.row, cell.column): cell for cell in block.cells}
    first, second = 100 * (0.8 * 30 + 0.5 * 10) / 40, 100 * (0.9 * 30 + 0.7 * 10) / 40
    for cell in (cells["baseline", "Concat"], cells["+ P & M & R", "Mix"]):
        assert cell.ours == pytest.approx((first + second) / 2)
        assert cell.deviation == pytest.approx(abs(second - first) / 2**0.5)
        assert cell.seeds == 2
    assert cells["baseline", "Mix"].ours is None
    assert cells["+ P", "Mix"].ours is None
    text = markdown(table, [block], "")
    assert "| baseline | 81.5 / 78.8 ± 8.8 (-2.8) | - |" in text
    assert "| + P | 85.2 / not measured | 85.5 / not measured |" in text
    assert "CUB-200-2011; the order can be compared" in text


def test_a_table_is_trained_corrupted_and_printed_beside_the_papers(tmp_path, monkeypatch, capsys):
    write_birds(tmp_path / "birds", species=2, train=4, val=1, test=2, size=40, seed=0)
    options = ["--data", tmp_path / "birds", "--epochs", 1, "--seeds", 1, "--output", tmp_path / "out"]
    options += [text for setting in TINY for text in ("--set", setting)]
    table = read_reproduction("table7").model_copy(update={"explained": "RMG-PMSI"})
    monkeypatch.setattr("pmsi_mobile.experiments.reproduction.read_reproduction", lambda name: table)
    assert call(main, monkeypatch, "table7", *options) == 0
    with open(tmp_path / "out" / "table.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["row"], row["column"]) for row in rows] == [
        (row, column) for row in ("baseline", "RMG-PMSI") for column in ("Origin", "Color-Jitter", "Gaussian-Noise")
    ]
    for row in rows:
        assert row["data"] == "birds"
        assert float(row["ours"]) in (0, 25, 50, 75, 100)
        assert float(row["difference"]) == pytest.approx(float(row["ours"]) - float(row["paper"]))
    assert (tmp_path / "out" / "table.png").stat().st_size > 0
    assert (tmp_path / "out" / "birds" / "explanation.png").stat().st_size > 0
    assert (tmp_path / "out" / "table.md").read_text() in capsys.readouterr().out

    # A table beside it has a row with the same settings under another name, and one with others.
    other = table.model_copy(update={"recipes": {"same": {"method": "baseline"}, "other": {"method": "pc"}}})
    other = other.model_copy(update={"paper": {"CUB-200-2011": {row: [80.0] * 3 for row in other.recipes}}})
    monkeypatch.setattr("pmsi_mobile.experiments.reproduction.read_reproduction", lambda name: other)
    options[options.index(tmp_path / "out")] = tmp_path / "beside"
    assert call(main, monkeypatch, "table6", *options) == 0
    assert "taken from another table: same, fold 0, seed 0" in capsys.readouterr().err
    here, there = (tmp_path / place / "birds" / "runs" for place in ("beside", "out"))
    ours, theirs = here / "same" / "fold0-seed0", there / "baseline" / "fold0-seed0"
    for name in ("ckpt.pt", "predictions.csv", "metrics.csv"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()
    assert (here / "other" / "fold0-seed0" / "log.txt").is_file()


def test_what_cannot_be_reproduced_is_one_line(monkeypatch, capsys):
    assert call(main, monkeypatch, "table9") == 2
    assert "there is no 'table9'" in capsys.readouterr().err
    assert call(main, monkeypatch, "figure1") == 2
    assert "figure1 is of CUB-200-2011, Stanford Cars, FGVC-Aircraft" in capsys.readouterr().err
