"""Tolerances on which the market and the feeder must agree, and neither knows the other."""

LINEAR_TOLERANCE_PU = 1e-4
"""How far voltages of a linear model may be from AC power flow for the model to count as true [pu]."""

LESS_ERROR = 0.8
"""A linear model is truer than the one before it where its error is below this part of that one's; models of
an interval of which one is not swing."""
