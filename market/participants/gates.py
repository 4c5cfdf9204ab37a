"""Gate closures: until when a service waits within a step, and what it does when it missed a part of one."""

from __future__ import annotations

from broker import wall_time
from broker.collector import Late
from broker.messages import LamBeliefs, LamRoundBid, RoundBid, RoundBidBatch, Step
from broker.participant.node import Node

MEMBERS_ROUND = 0.05
"""Part of a step's window after which a member that was asked in a round counts as silent."""

LAMS_ROUND = 0.2
"""The same for a LAM host that the WAM asked: it may have to wait for silent members itself."""

BIDDING = 0.4
"""Part of the clear step's window in which bids may be exchanged; feeder and awards need the rest."""


class GateClosed(Exception):
    """The time in which bids may be exchanged is over."""


def early_gate(step: Step) -> float:
    """Wall time at half of a step's window: the gate for services that others wait for."""
    return 0.5 * (step.opened + step.deadline)


def late_gate(step: Step) -> float:
    """Wall time at three quarters of a step's window: the gate for services that wait for those."""
    return 0.5 * (early_gate(step) + step.deadline)


def horizon_gate(step: Step) -> float:
    """Wall time until which the WAM waits for bids over the horizon, which follow live telemetry."""
    return early_gate(step) + 0.05 * (step.deadline - step.opened)


def worth_gate(step: Step) -> float:
    """Wall time until which hosts wait for what energy is worth, before those who wait for their bids."""
    return late_gate(step) - 0.05 * (step.deadline - step.opened)


def final_gate(step: Step) -> float:
    """Wall time until which LAMs may still ask their members about what was cleared for them."""
    return 0.5 * (late_gate(step) + step.deadline)


def bidding_gate(step: Step) -> float:
    """Wall time until which the WAM asks for bids."""
    return step.opened + BIDDING * (step.deadline - step.opened)


def round_gate(step: Step, share: float, until: float) -> tuple[float, bool]:
    """When a round that begins now closes, and whether its senders have their full time until then.

    Parameters
    ----------
    share
        Part of the step's window that senders have for an answer.
    until
        Wall time at which the round closes in any case.

    Returns
    -------
    gate
        Wall time at which the round closes.
    is_full
        False where ``until`` comes before the senders' time is over.

    Raises
    ------
    GateClosed
        ``until`` is past.
    """
    now = wall_time.now()
    if now >= until:
        raise GateClosed
    gate = now + share * (step.deadline - step.opened)
    return min(gate, until), gate <= until


def check_round(
    answer: RoundBid | RoundBidBatch | LamRoundBid | LamBeliefs, asked: tuple[int, int], what: str = "bid"
) -> None:
    """Hold an answer against the tick and round that were asked last.

    Raises
    ------
    ValueError
        Its round was not asked.
    Late
        It is over.
    """
    answers = (answer.tick, answer.round)
    if answers > asked:
        raise ValueError(f"round {answer.round} of tick {answer.tick} was not asked")
    if answers < asked:
        raise Late(f"{what} of round {answer.round} came after round {asked[1]} was asked")


async def skip_step(node: Node, step: Step) -> None:
    """Report a step done without doing it, so that nobody waits.

    For a service that was restarted or lost a message, and so has not what the step builds on.
    """
    node.flag(f"{node.name} missed a part of tick {step.tick} and sits out its {step.step}")
    await node.done(step.step, step.tick)
