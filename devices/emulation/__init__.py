"""Emulated devices: physics between register images, behind Modbus servers, and their host on the bus."""
