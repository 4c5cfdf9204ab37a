"""Run an operator's generator to its end: it yields questions to bidders, and is sent their answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

Q = TypeVar("Q")
A = TypeVar("A")
R = TypeVar("R")


def drive(questions: Generator[Q, A, R], answer: Callable[[Q], A]) -> R:
    """Result of a generator whose questions are answered by computation, at once."""
    try:
        question = next(questions)
        while True:
            question = questions.send(answer(question))
    except StopIteration as end:
        result: R = end.value
        return result


async def drive_async(questions: Generator[Q, A, R], ask: Callable[[Q], Awaitable[A]]) -> R:
    """Result of a generator whose questions are answered by messages, after a wait."""
    try:
        question = next(questions)
        while True:
            question = questions.send(await ask(question))
    except StopIteration as end:
        result: R = end.value
        return result
