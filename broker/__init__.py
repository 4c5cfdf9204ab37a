"""Topics, wire messages and bus clients: what every service of the testbed speaks."""
