"""Modbus from the side of the one who asks: connections, units, and drivers of meters and inverters."""
