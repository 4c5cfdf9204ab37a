"""Prosumers on the bus: hosts of virtual and of live ones, and how they bid."""
