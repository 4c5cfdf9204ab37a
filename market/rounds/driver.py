"""Run an operator's generator to its end: it yields questions to bidders, and is sent their answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

Q = TypeVar("Q")
A = TypeVar("A")
R = TypeVar("R")


async def drive_async(questions: Generator[Q, A, R], ask: Callable[[Q], Awaitable[A]]) -> R:
    """Result of a generator whose questions are answered by messages, after a wait."""
    try:
        question = next(questions)
        while True:
            question = questions.send(await ask(question))
    except StopIteration as end:
        result: R = end.value
        return result


def drive(questions: Generator[Q, A, R], answer: Callable[[Q], A]) -> R:
    """Result of a generator whose questions are answered by computation, at once."""

    async def answer_at_once(question: Q) -> A:
        return answer(question)

    work = drive_async(questions, answer_at_once)
    try:
        # Nothing in it waits, so the first step is the last.
        work.send(None)
    except StopIteration as end:
        result: R = end.value
        return result
    work.close()
    raise AssertionError("an answer that is computed waits for nothing")
