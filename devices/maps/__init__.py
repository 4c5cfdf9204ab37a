"""Register maps as data: one TOML file per meter type and per SunSpec model."""
