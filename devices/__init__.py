"""Meters and inverters: register maps, emulators with physics, and the Modbus gateway."""
