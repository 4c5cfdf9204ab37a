"""A feeder as a scenario describes it: the table of its LAMs, and the events that are to happen to it."""
