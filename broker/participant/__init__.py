"""A participant of a run on the bus: what it hears, answers, repeats, and whether it is there."""
