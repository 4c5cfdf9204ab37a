"""One emulated device as a program of its own, as on a Raspberry Pi."""
