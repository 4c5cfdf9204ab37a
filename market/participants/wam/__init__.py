"""The WAM operator on the bus."""
