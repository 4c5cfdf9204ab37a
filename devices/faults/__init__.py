"""Faults of emulated devices: what they are, and the proxy that makes them on a line."""
