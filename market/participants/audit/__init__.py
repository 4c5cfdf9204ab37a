"""The auditor on the bus."""
