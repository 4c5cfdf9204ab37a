"""LAM operators on the bus."""
