"""Feeder data that the project ships."""
