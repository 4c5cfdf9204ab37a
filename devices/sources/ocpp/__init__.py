"""Chargers of electric vehicles by OCPP 1.6 and 2.0.1: the central system that they connect to."""
