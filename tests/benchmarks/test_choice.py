"""Which row to take."""

from hypothesis import given
from hypothesis import strategies as st

from pmsi_bench.results.choice import ACCURACY_LOSS, Candidate, lead, pareto_front, ranked

shares = st.integers(0, 100).map(lambda points: points / 100)
rows = st.lists(st.tuples(st.integers(1, 50), st.none() | shares), max_size=8).map(
    lambda drawn: [
        Candidate(f"{number}", latency, [float(latency)], top1) for number, (latency, top1) in enumerate(drawn)
    ]
)


@given(rows)
def test_the_first_is_the_fastest_of_those_that_are_accurate_enough(candidates):
    known = [each.top1 for each in candidates if each.top1 is not None]
    kept = ranked(candidates)
    if len(known) < len(candidates):
        assert len(kept) == len(candidates)
    else:
        assert {each.name for each in kept} == {
            each.name for each in candidates if each.top1 >= max(known) - ACCURACY_LOSS - 1e-9
        }
    assert [each.latency_ms for each in kept] == sorted(each.latency_ms for each in kept)


@given(rows)
def test_nothing_beats_a_row_of_the_front_and_each_other_row_is_beaten(candidates):
    front = pareto_front(candidates)
    for row in (each for each in candidates if each.top1 is not None):
        others = [each for each in candidates if each.top1 is not None and each.name != row.name]
        if row.name in front:
            assert not any(each.latency_ms < row.latency_ms and each.top1 > row.top1 for each in others)
        else:
            assert any(each.latency_ms <= row.latency_ms and each.top1 >= row.top1 for each in others)


def test_a_lead_is_one_only_when_the_interval_shows_it():
    fast, slow = (Candidate(name, ms, [ms + 0.01 * i for i in range(8)], None) for name, ms in (("a", 10), ("b", 12)))
    assert lead(fast, slow).startswith("Next is b, which takes 1.20 times as long")
    assert "cannot be told from it" in lead(fast, fast)
    assert lead(slow, fast).startswith("Round by round a is faster: 0.83 times as long")
    assert "no interval" in lead(fast, Candidate("c", 12, [12.0] * 3, None))
