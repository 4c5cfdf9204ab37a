"""Devices that speak no Modbus: on an MQTT broker, or behind JSON over HTTP."""
