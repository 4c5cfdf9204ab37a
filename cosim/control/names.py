"""Names of the services that stay with the process of a run, and of what all of them need."""

CLOCK = "clock"
RECORDER = "recorder"

BROKER = "the broker"
"""What is named where nobody is heard at all."""
