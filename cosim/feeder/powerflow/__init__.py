"""What a power flow program's circuit means: elements, feeding, loads of LAMs, exact derivatives."""
