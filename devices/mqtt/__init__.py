"""A device on MQTT by itself, and how Home Assistant shows it."""
