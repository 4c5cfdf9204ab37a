"""Until when a service waits within a step, and what it does in an interval of which it missed a part."""

from __future__ import annotations

from broker.messages import Step
from broker.node import Node


def halfway(step: Step) -> float:
    """Wall time at which half of a step's window is gone: the gate for those whose word others wait for."""
    return 0.5 * (step.opened + step.deadline)


def three_quarters(step: Step) -> float:
    """Wall time of the gate for those who wait for the former and are waited for themselves."""
    return 0.5 * (halfway(step) + step.deadline)


async def sit_out(node: Node, step: Step) -> None:
    """Report a step undone, so that nobody waits: what it builds on was missed, by a restart or a loss."""
    node.flag(f"{node.name} missed a part of tick {step.tick} and sits out its {step.step}")
    await node.done(step.step, step.tick)
