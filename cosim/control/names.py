"""Names of the services that stay with the process of a run."""

CLOCK = "clock"
RECORDER = "recorder"
