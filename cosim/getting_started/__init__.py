"""The first evening: examples to run, a folder to begin with, and what this computer lacks."""
