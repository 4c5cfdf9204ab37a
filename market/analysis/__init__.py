"""Judgement of outcomes: certificate, benchmarks, indicators, settlement, tolerances."""
