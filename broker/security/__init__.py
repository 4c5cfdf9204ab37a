"""Who may say and hear what at a broker, and the files that make a broker keep to it."""
