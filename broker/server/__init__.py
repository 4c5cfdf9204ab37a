"""Brokers of our own: Mosquitto where it is installed, an embedded one otherwise."""
