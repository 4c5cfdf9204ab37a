"""The feeder under AC power flow: OpenDSS behind arrays, its linear model, and its service on the bus."""
