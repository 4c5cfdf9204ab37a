"""What stands in registers: points, SunSpec models, device profiles, and commands that profiles describe."""
