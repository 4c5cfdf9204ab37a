"""Fenced blocks of the documents, and what their sources say of trying them.

A block of ``console`` has commands behind a prompt and what they say, refusals included, where ``...``
stands for any text. A comment before any block says what its reader need not see:

``<!-- not run: REASON -->``
    It cannot be tried here, and why.
``<!-- run with: THIS -> THAT; ... -->``
    Words of it that are others where it is tried: a quicker clock, another name.
``<!-- prints -->``
    It is what the command before it prints, where ``...`` stands for any text.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
SHELL = ("sh", "bash")
_BLOCK = re.compile(r"((?:^<!--.*?-->\n)*)^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PRINTS = "<!-- prints -->"
_MARK = re.compile(r"<!-- (not run|run with): (.*?) -->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    not_run: str
    """Why it is not tried; empty where it is."""
    other_words: tuple[tuple[str, str], ...]
    prints: bool
    """Whether it is what the command before it prints."""

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    def tried(self, addresses: dict[str, str]) -> str:
        """Its text as it is tried: with other words, and addresses that answer here."""
        text = self.text
        for this, that in self.other_words:
            assert this in text, f"{self.where}: 'run with' names {this!r}, which is not in the block"
            text = text.replace(this, that)
        for this, that in addresses.items():
            text = text.replace(this, that)
        return text


def is_printed(said: str, printed: str) -> bool:
    """Whether a page says what was printed, where ``...`` stands for any text."""
    pattern = ".*?".join(re.escape(part) for part in said.strip().split("..."))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def name_of(page: Path) -> str:
    """A page by its path in the project."""
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        marks = dict(_MARK.findall(match[1]))
        words = [each.split(" -> ") for each in marks.get("run with", "").split("; ") if each]
        found.append(
            Block(
                page=name_of(page),
                line=text.count("\n", 0, match.start(2)) + 1,
                language=match[2],
                text=match[3],
                not_run=" ".join(marks.get("not run", "").split()),
                other_words=tuple((this, that) for this, that in words),
                prints=_PRINTS in match[1],
            )
        )
    return found


def commands_of(text: str) -> list[str]:
    """Commands of a shell block, one each, without comments."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if shlex.split(line, comments=True)]


def dialogues_of(text: str) -> list[tuple[str, str]]:
    """Commands of a console block, behind their prompts, each with what it says."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    return [(command, said) for command, _, said in (part.partition("\n") for part in parts[1:])]
