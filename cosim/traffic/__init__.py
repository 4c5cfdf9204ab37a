"""What a run says on its bus, recorded: the file, and who writes it."""
