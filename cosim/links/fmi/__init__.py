"""Feeder and market as functional mock-up units for co-simulation (FMI 2.0): ``sharegrid fmi``."""
