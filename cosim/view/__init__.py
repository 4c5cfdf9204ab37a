"""The live view: a run on a web page, as an observer hears it, or a past one from its results."""
