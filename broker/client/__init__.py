"""The port through which services speak, over MQTT or inside one process."""
