"""What was understood and changed, for the user to see."""


class Notes(list[str]):
    """Lines in the order in which they came, each once."""

    def once(self, line: str) -> None:
        """Add a line, unless it is there."""
        if line not in self:
            self.append(line)
