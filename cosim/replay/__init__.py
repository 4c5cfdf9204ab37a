"""Market and feeder of a run once more, from its recorded bus traffic."""
