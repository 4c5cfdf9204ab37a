"""What a scenario describes, built: feeder, prosumers, profiles, and the market's roster and rules."""
