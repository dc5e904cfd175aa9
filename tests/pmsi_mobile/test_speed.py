"""What makes training faster without a bit of difference."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pmsi_mobile.methods.registry import build_network
from pmsi_mobile.training import threads
from pmsi_mobile.training.speed import keep_freed_memory, spare_copies
from pmsi_mobile.training.threads import idle_cores, use_idle_cores
from tests.conftest import small_config
from tests.pmsi_mobile.runs import ENVIRONMENT


def test_activations_that_are_not_in_place_change_no_bit():
    gradients = []
    for spare in (False, True):
        torch.manual_seed(0)
        network = build_network(small_config(), 3).train()
        if spare:
            spare_copies(network)
        assert any(module.inplace for module in network.modules() if isinstance(module, nn.ReLU6)) != spare
        network(torch.rand(4, 3, 64, 64)).logsumexp(2).sum().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    assert all(torch.equal(first, second) for first, second in zip(*gradients, strict=True))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_memory_that_was_used_before_costs_no_page_faults():
    script = (
        "import resource, torch\n"
        "from pmsi_mobile.training.speed import keep_freed_memory\n"
        "keep_freed_memory()\n"
        "faults = []\n"
        "for _ in range(20):\n"  # The remainders of the first seven stay apart (tcache).
        "    torch.ones(20_000_000)\n"
        "    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)\n"
        "assert faults[-1] - faults[-2] < 1000, faults\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=ENVIRONMENT)


def test_other_systems_keep_their_memory_as_they_do(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_freed_memory()


STAT = """cpu  9 9 9 9 9 0 0 0 0 0
cpu0 {busy0} 0 0 {idle0} 0 0 0 0 0 0
cpu1 0 0 {busy1} 50 {idle1} 0 0 0 0 0
cpu2 500 0 0 0 0 0 0 0 0 0
intr 5
"""
QUIET = STAT.format(busy0=10, idle0=10, busy1=10, idle1=10)


def test_cores_that_wait_for_a_disk_are_idle_and_those_of_others_do_not_count():
    after = STAT.format(busy0=20, idle0=100, busy1=90, idle1=30)
    assert idle_cores(QUIET, after, {0, 1}) == pytest.approx(0.9 + 0.2)
    assert idle_cores(QUIET, after, {1}) == pytest.approx(0.2)
    assert idle_cores(QUIET, QUIET, {0, 1}) == 0


@pytest.mark.parametrize(("idle", "expected"), [((100, 100), 2), ((100, 10), 1), ((0, 0), 1)])
def test_no_more_threads_train_than_cores_are_idle(idle, expected, monkeypatch, tmp_path):
    stat, now = tmp_path / "stat", torch.get_num_threads()
    stat.write_text(QUIET)

    def sleep(_):
        stat.write_text(STAT.format(busy0=110 - idle[0], idle0=10 + idle[0], busy1=110 - idle[1], idle1=10 + idle[1]))

    monkeypatch.setattr(threads, "_STAT", stat)
    monkeypatch.setattr(threads, "time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(2)
    try:
        note = use_idle_cores()
        assert torch.get_num_threads() == expected
        assert (note is None) == (expected == 2)
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        assert use_idle_cores() is None
    finally:
        torch.set_num_threads(now)
