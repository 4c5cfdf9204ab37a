"""Until when a service waits within a step, and what it does in an interval of which it missed a part."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

from broker.messages import Step
from broker.node import Node

Q = TypeVar("Q")
A = TypeVar("A")
R = TypeVar("R")

MEMBERS_ROUND = 0.05
"""Part of a step's window after which a member that was asked in a round counts as silent."""

LAMS_ROUND = 0.2
"""The same for a LAM host that the WAM asked: it may have to wait for silent members itself."""

BIDDING = 0.4
"""Part of the clear step's window in which bids may be exchanged; feeder and awards need the rest."""


class GateClosed(Exception):
    """The time in which bids may be exchanged is over."""


def halfway(step: Step) -> float:
    """Wall time at which half of a step's window is gone: the gate for those whose word others wait for."""
    return 0.5 * (step.opened + step.deadline)


def three_quarters(step: Step) -> float:
    """Wall time of the gate for those who wait for the former and are waited for themselves."""
    return 0.5 * (halfway(step) + step.deadline)


def last_call(step: Step) -> float:
    """Wall time until which LAMs may still talk to their members about what was cleared for them."""
    return 0.5 * (three_quarters(step) + step.deadline)


def bidding_gate(step: Step) -> float:
    """Wall time until which the WAM asks for bids."""
    return step.opened + BIDDING * (step.deadline - step.opened)


def round_gate(step: Step, share: float, until: float) -> tuple[float, bool]:
    """Wall time at which a round that begins now closes, and whether its senders had their full time then.

    Raises
    ------
    GateClosed
        It is ``until`` already.
    """
    now = time.time()
    if now >= until:
        raise GateClosed
    gate = now + share * (step.deadline - step.opened)
    return min(gate, until), gate <= until


async def converse(talk: Generator[Q, A, R], ask: Callable[[Q], Awaitable[A]]) -> R:
    """Run an operator's part in rounds of bidding to its end, its questions answered by messages."""
    try:
        question = next(talk)
        while True:
            question = talk.send(await ask(question))
    except StopIteration as end:
        result: R = end.value
        return result


async def sit_out(node: Node, step: Step) -> None:
    """Report a step undone, so that nobody waits: what it builds on was missed, by a restart or a loss."""
    node.flag(f"{node.name} missed a part of tick {step.tick} and sits out its {step.step}")
    await node.done(step.step, step.tick)
