"""A run as a federate of a HELICS federation: ``sharegrid helics``."""
