"""The test by betting: exact where it can be enumerated, and right about simulated releases whose truth is known."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from teal.release import simulate
from teal.release.sequential import SequentialTest, WindowCounts, advance, begin_series, log_evidence, log_over_limit, worse_than


def _pmf(bad: int, total: int, share: float) -> float:
    return math.comb(total, bad) * share**bad * (1 - share) ** (total - bad)


def _capital(block: WindowCounts, before: WindowCounts | None = None) -> list[float]:
    comparison = begin_series(SequentialTest(planned=1))
    if before is not None:
        comparison = advance(comparison, before)
    held = comparison.begun[0].log_capitals
    return [math.exp(after - then) for after, then in zip(advance(comparison, block).begun[0].log_capitals, held, strict=True)]


@pytest.mark.parametrize("active", [0.0, 0.01, 0.05, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("better_by", [0.0, 0.005, 0.3])
@pytest.mark.parametrize(("total", "reference_total"), [(3, 7), (6, 6), (9, 2), (5, 0), (0, 5)])
def test_no_bet_can_expect_to_win_while_the_new_color_is_not_worse(
    active: float, better_by: float, total: int, reference_total: int
) -> None:
    target = max(0.0, active - better_by)
    expected = np.zeros(6)
    for bad, reference_bad in product(range(total + 1), range(reference_total + 1)):
        chance = _pmf(bad, total, target) * _pmf(reference_bad, reference_total, active)
        expected += chance * np.array(
            _capital(WindowCounts(bad, total, reference_bad, reference_total), before=WindowCounts(2, 20, 1, 40))
        )
    assert (expected <= 1 + 1e-9).all()


def test_a_bet_on_what_is_true_expects_to_win() -> None:
    share = 1 / 100  # what is believed before the first window
    target = worse_than(share, 0.1)
    growth = 0.0
    for bad, reference_bad in product(range(13), range(13)):
        chance = _pmf(bad, 12, target) * _pmf(reference_bad, 12, share)
        growth += chance * math.log(_capital(WindowCounts(bad, 12, reference_bad, 12))[3])
    assert growth > 0.1


def test_without_requests_of_one_color_nothing_is_learned() -> None:
    assert _capital(WindowCounts(5, 5, 0, 0)) == pytest.approx([1.0] * 6)
    assert _capital(WindowCounts(0, 0, 5, 5)) == pytest.approx([1.0] * 6)


def test_a_fault_that_appears_late_is_found_as_soon_as_one_that_was_there_from_the_beginning() -> None:
    def requests_until_found(good_windows: int) -> int:
        comparison = begin_series(SequentialTest(planned=2))
        for _ in range(good_windows):
            comparison = advance(comparison, WindowCounts(0, 25, 25, 475))  # the active color gives 5 % bad, the new one none
        comparison = begin_series(comparison)
        for window in range(1, 200):
            comparison = advance(comparison, WindowCounts(8, 50, 3, 50))
            if log_evidence(comparison) >= math.log(400):
                return window * 50
        raise AssertionError("never found")

    assert requests_until_found(1000) <= 1.3 * requests_until_found(0)


def test_evidence_over_a_limit_is_never_expected_to_grow_at_or_below_it() -> None:
    for share in (0.0, 0.02, 0.05):
        expected = sum(_pmf(bad, 40, share) * math.exp(log_over_limit(bad, 40, 0.05)) for bad in range(41))
        assert expected <= 1 + 1e-9
    assert log_over_limit(10, 40, 0.05) > math.log(100)


def test_a_version_like_the_active_one_is_aborted_within_the_budget() -> None:
    played = simulate.trace(400, 5.0, 0.05, 0.0, np.random.default_rng(7))
    stopped = simulate.betting_rule(played, simulate.BUDGET, 0.05)
    assert np.isfinite(stopped).sum() <= 12  # 400 releases at 1 % are 4 expected at most; 12 or more has a chance below 0.1 %


def test_every_rule_finds_a_version_that_fails_half_of_its_requests() -> None:
    for outcome in simulate.play(simulate.GATES[0], 5.0, 0.5, 50, 3, slow_releases=10, gates=4):
        assert outcome.aborted == 1.0, outcome
        assert outcome.requests < 400, outcome
