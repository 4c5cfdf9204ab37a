import numpy as np

from cosim.population.noise import generator, lognormal_factor, mix, smooth_normal


def test_draws_depend_on_seed_stream_and_index_alone():
    first = generator(1, "load", 7).standard_normal(5)
    generator(1, "load", 8).standard_normal(100)
    assert np.array_equal(generator(1, "load", 7).standard_normal(5), first)
    for other in (generator(2, "load", 7), generator(1, "sun", 7), generator(1, "load", 8)):
        assert not np.array_equal(other.standard_normal(5), first)


def test_smooth_noise_is_one_function_of_time_however_it_is_asked():
    whole = smooth_normal(1, "x", np.arange(0.0, 240.0, 5.0), 60, 4)
    parts = [
        smooth_normal(1, "x", np.arange(start, start + 20.0, 5.0), 60, 4) for start in np.arange(0, 240, 20)
    ]
    assert np.array_equal(np.concatenate(parts), whole)
    assert np.array_equal(smooth_normal(1, "x", np.array([60.0]), 60, 4)[0], whole[12])


def test_smooth_noise_has_unit_variance_everywhere_and_forgets_after_two_knots():
    z = smooth_normal(1, "x", np.array([0.0, 15.0, 30.0, 45.0, 120.0]), 60, 20_000)
    assert np.allclose(z.std(axis=1), 1.0, atol=0.03)
    correlation = np.corrcoef(z)[0]
    assert correlation[1] > 0.9
    assert abs(correlation[4]) < 0.03


def test_mixture_keeps_variance_and_factor_keeps_the_mean():
    rng = generator(3, "x")
    slow, fast = rng.standard_normal((2, 100_000))
    assert abs(mix(slow, fast, 0.3).std() - 1.0) < 0.02
    assert abs(lognormal_factor(slow, 0.4).mean() - 1.0) < 0.01
