"""A lab's own files brought into the form of `[tables]`, whatever their delimiter, unit, clock and layout."""
