"""The two layers of the energy-sharing market: a pure core on arrays, and services that carry it on MQTT."""
