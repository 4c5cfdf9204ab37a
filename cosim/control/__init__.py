"""What keeps a run going: the clock."""
