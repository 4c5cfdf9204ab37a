"""Messages that stand among the events of a run: as one line each."""

from __future__ import annotations

from typing import Any

from broker.messages import Rejected, Stopped


def rejected_event(rejected: Rejected) -> dict[str, Any]:
    """Line of a message that was refused."""
    return {
        "tick": rejected.tick,
        "kind": "rejected",
        "source": rejected.sender,
        "detail": f"{rejected.topic}: {rejected.reason}",
    }


def stopped_event(stopped: Stopped) -> dict[str, Any]:
    """Line of an emergency stop, and of what became of it since it was told last."""
    commanded = stopped.devices - stopped.observed
    return {
        "tick": stopped.tick,
        "kind": "stop-update" if stopped.is_update else "stop",
        "source": stopped.by,
        "detail": f"{stopped.reason}: {stopped.safe} of {commanded} devices at their safe values",
        "failed": stopped.failed,
    }
