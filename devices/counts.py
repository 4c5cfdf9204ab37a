"""How often a connection was used, and what its requests failed by."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counts:
    """Requests of a connection since its start; ``errors`` by name of the error."""

    reads: int = 0
    writes: int = 0
    errors: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Counts") -> None:
        """Take the counts of another connection in."""
        self.reads += other.reads
        self.writes += other.writes
        for name, number in other.errors.items():
            self.errors[name] = self.errors.get(name, 0) + number

    def note(self, error: Exception) -> None:
        """Count a failure."""
        name = type(error).__name__
        self.errors[name] = self.errors.get(name, 0) + 1
