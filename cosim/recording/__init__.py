"""From messages to results: what was said in an interval, its settlement, benchmarks and rows."""
