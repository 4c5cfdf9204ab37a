"""How broken limits are told: the worst by name, and how many there are."""

import numpy as np

from cosim.feeder.judgement import MOST_NAMED, Broken, Judgement, Violation, told

FEW, MANY = 3, 4 * MOST_NAMED


def judgement(amounts_pu: np.ndarray) -> Judgement:
    """A judgement of voltages that are so far beyond their limits, worst first."""
    violations = tuple(
        Violation(f"bus{at}.1", "voltage", amount) for at, amount in enumerate(-np.sort(-amounts_pu))
    )
    return Judgement(False, None, violations, float(amounts_pu.sum()), 0.0, 1.0)


def test_few_are_all_named() -> None:
    broken = told({"": judgement(np.array([0.01, 0.02, 0.03]))})
    assert len(broken.violations) == FEW
    assert broken.violations[0] == "voltage at bus0.1 is 0.0300 pu beyond its limit"
    assert broken.unnamed == 0
    assert told({"": judgement(np.zeros(0))}) == Broken()


def test_of_thousands_the_worst_are_named_and_all_are_counted() -> None:
    rng = np.random.default_rng(5)
    before, after = rng.uniform(0.001, 0.02, MANY), rng.uniform(0.001, 0.1, MANY)
    broken = told({"": judgement(before), " once regulators have acted": judgement(after)})
    assert len(broken.violations) == MOST_NAMED
    assert len(broken.violations) + broken.unnamed == 2 * MANY
    named = [float(text.split()[4]) for text in broken.violations]
    assert named == sorted(named, reverse=True)
    worst = np.sort(np.concatenate([before, after]))[::-1][:MOST_NAMED]
    np.testing.assert_allclose(named, worst, atol=5e-5)
    assert broken.violations[0].endswith("once regulators have acted")
