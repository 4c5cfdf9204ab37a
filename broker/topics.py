"""The topic tree of one run: every topic has exactly one writer.

All topics of a run stand below ``sharegrid/v1/<run>``. A single writer per topic is what lets a
receiver number the messages of a topic and notice gaps, duplicates and late arrivals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ROOT = "sharegrid/v1"
_SAFE = re.compile(r"[A-Za-z0-9_.:-]+")


def topic_safe(name: str) -> bool:
    """Whether ``name`` may stand as one level of a topic (no slash, wildcard or blank)."""
    return _SAFE.fullmatch(name) is not None


@dataclass(frozen=True)
class Topics:
    """Names of the topics of run ``run``; ``"+"`` in place of a name gives the filter for all."""

    run: str

    @property
    def root(self) -> str:
        """Prefix of every topic of the run."""
        return f"{ROOT}/{self.run}"

    @property
    def step(self) -> str:
        """The clock opens a step of an interval."""
        return f"{self.root}/clock/step"

    def done(self, service: str) -> str:
        """A service reports that its part of a step is over."""
        return f"{self.root}/done/{service}"

    def availability(self, service: str) -> str:
        """Retained: whether a service is online; its last will says offline."""
        return f"{self.root}/availability/{service}"

    def telemetry(self, phase: str, prosumer: str) -> str:
        """Readings of a live prosumer's devices, before bidding (``measure``) or at the end (``meter``)."""
        return f"{self.root}/telemetry/{phase}/{prosumer}"

    def bid(self, lam: str, prosumer: str) -> str:
        """Bid of one live prosumer into its LAM."""
        return f"{self.root}/bid/{lam}/{prosumer}"

    def bid_batch(self, host: str) -> str:
        """Bids of all prosumers of one population host, in columns."""
        return f"{self.root}/bid-batch/{host}"

    def lam_bid(self, lam: str) -> str:
        """Bid of one LAM into the WAM."""
        return f"{self.root}/lam-bid/{lam}"

    def opening(self, lam: str, prosumer: str) -> str:
        """Range of one live prosumer, before rounds of bidding."""
        return f"{self.root}/opening/{lam}/{prosumer}"

    def opening_batch(self, host: str) -> str:
        """Ranges of all prosumers of one population host, in columns."""
        return f"{self.root}/opening-batch/{host}"

    def lam_opening(self, lam_host: str) -> str:
        """Ranges of the LAMs of one operator host, before rounds of bidding."""
        return f"{self.root}/lam-opening/{lam_host}"

    @property
    def wam_price(self) -> str:
        """The WAM announces wide-area prices and asks all LAMs for their bids at them."""
        return f"{self.root}/wam/price"

    def lam_price(self, lam_host: str) -> str:
        """LAMs of one operator host announce local prices and ask their members for bids at them."""
        return f"{self.root}/lam-price/{lam_host}"

    def round_bid(self, lam: str, prosumer: str) -> str:
        """Bid of one live prosumer in a round."""
        return f"{self.root}/round-bid/{lam}/{prosumer}"

    def round_bid_batch(self, lam_host: str, host: str) -> str:
        """Bids in a round of the prosumers of one population host whom one LAM host asked, in columns."""
        return f"{self.root}/round-bid-batch/{host}/{lam_host}"

    def lam_round_bid(self, lam_host: str) -> str:
        """Bids in a round of the LAMs of one operator host."""
        return f"{self.root}/lam-round-bid/{lam_host}"

    @property
    def feeder_request(self) -> str:
        """The WAM asks the feeder to solve, judge and linearise."""
        return f"{self.root}/feeder/request"

    @property
    def feeder_reply(self) -> str:
        """The feeder's answer."""
        return f"{self.root}/feeder/reply"

    @property
    def feeder_state(self) -> str:
        """AC power flow of what was metered."""
        return f"{self.root}/feeder/state"

    @property
    def wam_outcome(self) -> str:
        """Outcome of the wide-area market for all LAMs."""
        return f"{self.root}/wam/outcome"

    def lam_outcome(self, host: str) -> str:
        """Outcomes of the LAMs of one operator host, with all allocations."""
        return f"{self.root}/lam-outcome/{host}"

    def award(self, lam: str, prosumer: str) -> str:
        """Award of one live prosumer."""
        return f"{self.root}/award/{lam}/{prosumer}"

    def award_batch(self, lam_host: str, host: str) -> str:
        """Awards from one LAM host to the prosumers of one population host."""
        return f"{self.root}/award-batch/{host}/{lam_host}"

    def set_point(self, prosumer: str) -> str:
        """Set-points of a live prosumer's devices."""
        return f"{self.root}/set/{prosumer}"

    def acknowledgement(self, prosumer: str) -> str:
        """What a gateway wrote and read back."""
        return f"{self.root}/ack/{prosumer}"

    def stop(self, sender: str) -> str:
        """Emergency stop of all devices, from whoever sees the need."""
        return f"{self.root}/stop/{sender}"

    def stopped(self, gateway: str) -> str:
        """What a gateway did on an emergency stop."""
        return f"{self.root}/stopped/{gateway}"

    def metered(self, host: str) -> str:
        """Metered energy of all prosumers of one population host, in columns."""
        return f"{self.root}/metered/{host}"

    def truth(self, host: str) -> str:
        """What really flowed at the emulated prosumers of one device host, while faults are planned."""
        return f"{self.root}/truth/{host}"

    def position(self, host: str) -> str:
        """True costs and limits of a host's prosumers, for the benchmarks alone."""
        return f"{self.root}/position/{host}"

    @property
    def audit(self) -> str:
        """Certificate, rents, benchmarks and savings of the interval."""
        return f"{self.root}/audit"

    def rejected(self, service: str) -> str:
        """Messages that a service refused, with the reason."""
        return f"{self.root}/rejected/{service}"
