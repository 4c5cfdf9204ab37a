"""From messages to results: an interval's messages, arrays and payments, its rows, and the run's summary."""
