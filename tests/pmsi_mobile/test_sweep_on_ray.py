"""A plan on a Ray cluster: two workers, on this machine, of which one is killed."""

import csv
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from pmsi_mobile.commands.sweep import main
from pmsi_mobile.data.birds import write_birds
from pmsi_mobile.experiments.execute import RunFailed
from pmsi_mobile.experiments.plan import read_plan
from tests.pmsi_mobile.test_sweep import plan_file

pytest.importorskip("ray", reason="Ray is not installed: pip install 'pmsi-mobile[ray]'")

from pmsi_mobile.experiments import on_ray

EPOCHS = 8
RECIPES = {
    "teacher": {"method": "baseline", "train.epochs": EPOCHS},
    "pupil": {"method": "baseline", "teacher": "teacher"},
    "bad": {"method": "baseline", "model.weights": "nowhere.pth"},
    "orphan": {"method": "baseline", "teacher": "bad"},
}


@pytest.fixture(scope="module")
def cluster():
    """A head that trains nothing, and two workers of one core."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_worker_niceness", "0")
        cluster = Cluster()
        for cores in (0, 1, 1):
            cluster.add_node(num_cpus=cores, object_store_memory=10**8, include_dashboard=False)
        yield cluster
        cluster.shutdown()


def training(folder):
    """The processes that train in a folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(folder) in process.cmdline():
                found.append(process)
    return found


@pytest.fixture(scope="module")
def swept(cluster, tmp_path_factory):
    """What the command said of a sweep of which a worker was killed in the teacher's run, the sweep's folder, and how
    many processes trained the teacher at the same time."""
    folder = tmp_path_factory.mktemp("sweep")
    birds, out = folder / "birds", folder / "out"
    write_birds(birds, species=2, train=8, val=1, test=2, size=40, seed=0)
    path = plan_file(folder, data="birds", recipes=RECIPES)
    command = [sys.executable, "-m", "pmsi_mobile.commands.sweep", path, "--output", out, "--ray", cluster.address]
    teacher = out / "runs" / "teacher" / "fold0-seed0"
    side_by_side = []
    with open(folder / "said", "w+") as said, subprocess.Popen(command, stderr=said, cwd=folder) as process:
        try:
            killed = False
            while process.poll() is None:
                found = training(teacher)
                side_by_side.append(len(found))
                if found and not killed and (teacher / "metrics.csv").is_file():
                    kill_worker_of(found[0])
                    killed = True
                time.sleep(0.3)
        finally:
            process.terminate()
        said.seek(0)
        return process.wait(), said.read(), out, side_by_side


def kill_worker_of(process):
    """Kill all of a node but the process itself, which Ray would take along if its node were alive."""
    worker = process.parent()
    for victim in (worker.parent(), worker):
        assert "ray" in victim.name(), victim
        victim.kill()


def test_a_run_whose_worker_is_killed_is_taken_up_by_the_other_one_where_it_was(swept):
    _, said, out, side_by_side = swept
    teacher = out / "runs" / "teacher" / "fold0-seed0"
    assert said.count("training teacher, fold 0, seed 0") == 2, said
    assert "done: teacher, fold 0, seed 0" in said
    with open(teacher / "metrics.csv", encoding="utf-8") as file:
        assert [int(row["epoch"]) for row in csv.DictReader(file)] == list(range(1, EPOCHS + 1))
    log = (teacher / "log.txt").read_text()
    assert log.count(f" of {EPOCHS}\n") == 2, log
    assert "the state is saved" in log
    assert max(side_by_side) == 1
    assert "done: pupil, fold 0, seed 0" in said
    assert "| pupil " in (out / "table.md").read_text()


def test_a_run_that_fails_is_told_with_its_reason_and_so_are_those_that_learn_from_it(swept):
    code, said, out, _ = swept
    assert code == 1
    lines = said.splitlines()
    assert "nowhere.pth" in lines[lines.index("failed: bad, fold 0, seed 0") + 1]
    assert "learns from failed" in lines[lines.index("failed: orphan, fold 0, seed 0") + 1]
    assert "error: 2 of 4 runs failed" in said
    assert not (out / "runs" / "orphan").exists()


def test_a_machine_without_the_shared_folders_says_so(tmp_path):
    (run,) = read_plan(plan_file(tmp_path, recipes={"a": None})).runs
    begun = SimpleNamespace(put=lambda run: None)
    with pytest.raises(RunFailed, match=r" has no .*folds/0.json: photos, sweep and the current folder must be on"):
        on_ray._train(run, tmp_path / "out", tmp_path, tmp_path, begun)
    with pytest.raises(RunFailed, match=r" has no /nowhere: "):
        on_ray._train(run, tmp_path / "out", tmp_path, Path("/nowhere"), begun)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ray", "local", "--jobs", "2"], "--jobs is not for --ray"),
        (["--ray", "127.0.0.1:1"], "no Ray cluster at '127.0.0.1:1': connection refused"),
        (["--ray", "127.0.0.1:x"], "no Ray cluster at '127.0.0.1:x': "),
    ],
)
def test_an_address_without_a_cluster_is_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    write_birds(tmp_path / "birds", species=2, train=2, val=1, test=1, size=40, seed=0)
    path = plan_file(tmp_path, data="birds", recipes={"a": None})
    monkeypatch.setattr("sys.argv", ["pmsi-sweep", str(path), "--output", str(tmp_path / "out"), *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {message}")


def test_without_ray_the_line_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "pmsi_mobile.experiments.on_ray")
    monkeypatch.delattr("pmsi_mobile.experiments.on_ray")
    (tmp_path / "one").mkdir()
    path = plan_file(tmp_path, data=".", recipes={"a": None})
    monkeypatch.setattr("sys.argv", ["pmsi-sweep", str(path), "--ray", "local"])
    with pytest.raises(SystemExit):
        main()
    expected = "error: this needs ray, which is not installed: pip install 'pmsi-mobile[ray]'"
    assert capsys.readouterr().err.startswith(expected)
