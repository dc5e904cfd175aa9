"""Plans of training runs: what they mean, how they are run and compared."""

import csv
import itertools
import multiprocessing
import os
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import yaml

from pmsi_mobile.data.birds import write_birds
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.experiments.comparison import paired_difference
from pmsi_mobile.experiments.execute import RunFailed, command_line, execute
from pmsi_mobile.experiments.local import run_all
from pmsi_mobile.experiments.plan import read_plan

TINY = {
    "model.weights": "none",
    "model.width": 16,
    "model.hidden": 8,
    "preprocessing.resize": 40,
    "preprocessing.crop": 32,
    "mosaic.max_recursion": 2,
    "train.epochs": 1,
    "train.batch_size": 4,
    "train.select": "last",
    "data.workers": 0,
}


def plan_file(folder, **content):
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump({"set": TINY, **content}, sort_keys=False))
    return path


def sweep(*arguments):
    command = [sys.executable, "-m", "pmsi_mobile.commands.sweep", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_a_plan_is_crossed_with_its_grid_folds_and_seeds(tmp_path):
    recipes = {"plain": {"method": "baseline"}, "heads": None}
    path = plan_file(tmp_path, folds=2, seeds=[0, 3], recipes=recipes, grid={"train.epochs": [1, 2]})
    plan = read_plan(path)
    assert plan.recipes == ("plain epochs=1", "plain epochs=2", "heads epochs=1", "heads epochs=2")
    assert plan.against == "plain epochs=1"
    assert len(plan.runs) == len({run.folder for run in plan.runs}) == 16
    assert {(run.fold, run.seed) for run in plan.runs} == {(0, 0), (1, 0), (0, 3), (1, 3)}
    run = next(run for run in plan.runs if run.recipe == "plain epochs=2" and run.seed == 3)
    assert (run.config.method, run.config.train.epochs, run.config.seed) == ("baseline", 2, 3)


def test_what_is_special_overrules_the_grid_and_the_command_line_overrules_all(tmp_path):
    path = plan_file(tmp_path, recipes={"a": {"train.epochs": 7}}, grid={"train.epochs": [1]})
    assert read_plan(path).runs[0].config.train.epochs == 7
    assert read_plan(path, {"train.epochs": 9}).runs[0].config.train.epochs == 9


def test_teachers_come_first_and_are_of_the_same_fold_and_seed(tmp_path):
    recipes = {"student": {"teacher": ["big", "other"], "backbone_of": "big"}, "other": {"teacher": "big"}, "big": None}
    plan = read_plan(plan_file(tmp_path, folds=2, recipes=recipes))
    assert [run.recipe for run in plan.runs] == ["big", "other", "student"] * 2
    student = plan.runs[-1]
    assert {need.name for need in student.needs} == {student.folder.name}
    command = command_line(student, tmp_path, tmp_path / "photos")
    teachers = [value for option, value in itertools.pairwise(command) if option == "--teacher"]
    assert teachers == [str(tmp_path / "runs" / name / student.folder.name / "ckpt.pt") for name in ("big", "other")]
    weights = [value for value in command if value.startswith("model.weights=")]
    assert weights == [f"model.weights={teachers[0]}"]


def test_values_arrive_at_the_training_command_as_they_were_written(tmp_path):
    values = {"model.backbone": "mobilenet_v2", "train.lr_new": 0.005, "train.compile": False, "mosaic.draw": "batch"}
    run = read_plan(plan_file(tmp_path, recipes={"a": values})).runs[0]
    command = command_line(run, tmp_path, tmp_path)
    given = dict(value.split("=", 1) for option, value in itertools.pairwise(command) if option == "--set")
    for key, value in values.items():
        assert yaml.safe_load(given[key]) == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"recipes": {}}, "recipes"),
        ({"recipes": {"a": None}, "seed": 1}, "seed"),
        ({"recipes": {"a": None}, "against": "b"}, "no recipe is called 'b'"),
        ({"recipes": {"a": {"teacher": "b"}}}, "no recipe is called 'b'"),
        ({"recipes": {"a": {"teacher": "b"}, "b": {"teacher": "a"}}}, "in a circle: a -> b -> a"),
        ({"recipes": {"a": {"backbone_of": "b"}}}, "no recipe is called 'b'"),
        ({"recipes": {"a": {"model.widht": 3}}}, "recipe a: configuration: there is no 'model.widht'"),
        ({"recipes": {"a": {"preset": "none"}}}, "recipe a: unknown preset"),
    ],
)
def test_a_plan_that_cannot_be_run_is_one_clear_line(tmp_path, content, message):
    with pytest.raises(PmsiError, match=message) as error:
        read_plan(plan_file(tmp_path, **content))
    assert "\n" not in str(error.value)


def test_a_true_difference_is_inside_its_interval_and_none_is_not_claimed():
    generator = np.random.default_rng(1)
    hard = generator.random(1500)
    worse, better = (hard[None] + 0.3 * generator.random((3, 1500)) < level for level in (0.80, 0.86))
    middle, low, high = paired_difference(better, worse)
    assert low < 0.06 < high
    assert low > 0.03
    assert middle == pytest.approx(better.mean() - worse.mean())
    _, low, high = paired_difference(worse, worse[::-1])
    assert low <= 0 <= high


def test_the_interval_covers_what_it_says():
    covered = 0
    for trial in range(60):
        generator = np.random.default_rng(trial)
        of_photo, of_seed = generator.normal(0, 0.5, 400), generator.normal(0, 0.05, (4, 1))
        worse, better = (of_photo + of_seed + generator.normal(0, 1, (4, 400)) < level for level in (0.5, 0.7))
        population = np.random.default_rng(99).normal(0, np.sqrt(0.5**2 + 0.05**2 + 1), 10**6)
        true = (population < 0.7).mean() - (population < 0.5).mean()
        _, low, high = paired_difference(better, worse, draws=1000)
        covered += low < true < high
    # 95 % of 60, less four standard deviations of a binomial.
    assert covered >= 50


def test_runs_wait_for_their_teachers_and_a_failed_teacher_stops_its_students_alone(tmp_path, monkeypatch):
    recipes = {"good": None, "pupil": {"teacher": "good"}, "bad": None, "orphan": {"teacher": "bad"}}
    plan = read_plan(plan_file(tmp_path, recipes=recipes))
    over, told = [], {}

    def execute(run, root, data, threads=1, started=None):
        assert all(need in over for need in run.needs)
        if run.recipe == "bad":
            raise RunFailed("no luck")
        over.append(run.folder)

    monkeypatch.setattr("pmsi_mobile.experiments.local.execute", execute)
    begun = []
    run_all(
        plan.runs,
        tmp_path,
        tmp_path,
        3,
        started=lambda run: begun.append(run.recipe),
        ended=lambda run, reason: told.update({run.recipe: reason}),
    )
    assert told["good"] is told["pupil"] is None
    assert told["bad"] == "no luck"
    assert "learns from failed" in told["orphan"]
    assert sorted(begun) == ["bad", "good", "pupil"]


TRAINING = """
import signal, sys, time
from pathlib import Path

def save(*_):
    time.sleep(0.5)
    Path("saved").touch()
    sys.exit()

def main():
    if Path("saved").exists():
        Path(sys.argv[1], "predictions.csv").touch()
        return
    signal.signal(signal.SIGTERM, save)
    Path("begun").touch()
    time.sleep(600)
"""


def test_a_run_whose_parent_is_killed_saves_its_state_before_the_next_process_takes_it_up(tmp_path, monkeypatch):
    (run,) = read_plan(plan_file(tmp_path, recipes={"a": None})).runs
    (tmp_path / "training.py").write_text(TRAINING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    def stand_in(*arguments):
        *python, module, _, _ = itertools.takewhile(lambda word: word != "--output", command_line(*arguments))
        return [*python, module, "training", str(tmp_path / run.folder)]

    monkeypatch.setattr("pmsi_mobile.experiments.execute.command_line", stand_in)
    first = multiprocessing.get_context("fork").Process(target=execute, args=(run, tmp_path, tmp_path))
    first.start()
    while not (tmp_path / "begun").exists():
        assert first.is_alive()
        time.sleep(0.1)
    first.kill()
    execute(run, tmp_path, tmp_path)
    assert (tmp_path / "saved").exists()


def test_a_sweep_trains_compares_and_skips_what_is_done(tmp_path):
    birds, out = tmp_path / "birds", tmp_path / "out"
    write_birds(birds, species=2, train=8, val=1, test=2, size=40, seed=0)
    recipes = {"plain": {"method": "baseline"}}
    path = plan_file(tmp_path, data="birds", folds=2, recipes=recipes)
    dry = sweep(path, "--output", out, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "2 runs, 2 left" in dry.stdout
    assert not (out / "runs").exists()
    first = sweep(path, "--output", out, "--jobs", "2")
    assert first.returncode == 0, first.stderr
    plain = out / "runs" / "plain" / "fold0-seed0" / "ckpt.pt"
    before = plain.stat().st_mtime_ns
    recipes["heads"] = {"method": "rmg-pmsi", "backbone_of": "plain"}
    plan_file(tmp_path, data="birds", folds=2, recipes=recipes)
    second = sweep(path, "--output", out, "--jobs", "2")
    assert second.returncode == 0, second.stderr
    assert "2 of 4 runs are done already" in second.stderr
    assert plain.stat().st_mtime_ns == before
    third = sweep(path, "--output", out, "--jobs", "2")
    assert third.returncode == 0, third.stderr
    assert "4 of 4 runs are done already" in third.stderr
    with open(out / "table.csv", encoding="utf-8") as file:
        rows = {row["recipe"]: row for row in csv.DictReader(file)}
    assert rows["plain"]["photos"] == rows["heads"]["photos"] == "22"
    assert rows["heads"]["difference"]
    assert not rows["plain"]["difference"]
    assert (float(rows["plain"]["image_passes"]), float(rows["heads"]["image_passes"])) == (1, 5)
    assert (out / "table.png").stat().st_size > 0
    plan_file(tmp_path, data="birds", folds=2, recipes={"plain": {"method": "baseline", "train.epochs": 2}})
    other = sweep(path, "--output", out)
    assert other.returncode == 2
    assert "other settings" in other.stderr


def test_a_sweep_that_is_ended_ends_its_runs_and_two_do_not_work_in_one_folder(tmp_path):
    birds, out = tmp_path / "birds", tmp_path / "out"
    write_birds(birds, species=2, train=8, val=1, test=2, size=40, seed=0)
    path = plan_file(tmp_path, data="birds", recipes={"long": {"method": "baseline", "train.epochs": 1000}})
    command = [sys.executable, "-m", "pmsi_mobile.commands.sweep", str(path), "--output", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    metrics = out / "runs" / "long" / "fold0-seed0" / "metrics.csv"
    while not metrics.is_file():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    second = sweep(path, "--output", out)
    assert second.returncode == 2
    assert "another pmsi-sweep is at work" in second.stderr
    runs = psutil.Process(process.pid).children(recursive=True)
    assert runs
    process.terminate()
    process.communicate(timeout=300)
    assert process.returncode == 143
    _, left = psutil.wait_procs(runs, timeout=300)
    assert left == []
