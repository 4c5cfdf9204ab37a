"""Senders of bids for the tests of what is believed of them."""

import numpy as np

from market.model.curves import from_points, respond, take


def senders(rng, count):
    """Random monotone responses between -5 and 5 kW."""
    return from_points(
        [(np.sort(rng.uniform(0, 0.3, 5)), np.sort(rng.uniform(-5, 5, 5))[::-1]) for _ in range(count)]
    )


def ask(estimate, curves, who, price):
    kw = respond(take(curves, who), price)
    slope = (kw - respond(take(curves, who), price + 1e-7)) / 1e-7
    estimate.learn(who, price, kw, slope)
    return kw


def assert_monotone(curves):
    for begin, end in zip(curves.start[:-1], curves.start[1:], strict=True):
        assert (np.diff(curves.price[begin:end]) >= -1e-12).all()
        assert (np.diff(curves.kw[begin:end]) <= 1e-12).all()
