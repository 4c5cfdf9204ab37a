"""Meters, inverters and batteries as functions on arrays: no registers, no time of their own."""
