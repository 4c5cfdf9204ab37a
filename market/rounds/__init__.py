"""Hierarchical, distributed bidding: members bid into their LAM, LAMs bid into the WAM, round by round.

Bids are messages, not strategies. Every party answers a price with a power; a form says how much of that
answer one message tells: an intercept (plain), a power with its slope (slope), or the whole curve (curve).
Whatever the form, the rounds end at the same equilibrium (docs/market.md, section 5).
"""

from market.rounds.answers import CurveResponse, Response
from market.rounds.driver import drive, drive_async
from market.rounds.estimates import Estimate, Form, estimate_for
from market.rounds.flows import FlowBeliefs, FlowResponse, aside_of
from market.rounds.lam_level import Answers, LamLevel, Question
from market.rounds.negotiation import Loop, Negotiation, Round, negotiate
from market.rounds.pool_negotiation import PoolNegotiation, negotiate_pool
from market.rounds.rest import share_rest
from market.rounds.tally import Tally
from market.rounds.tangents import Tangents
from market.rounds.wam_level import WamLevel

__all__ = [
    "Answers",
    "CurveResponse",
    "Estimate",
    "FlowBeliefs",
    "FlowResponse",
    "Form",
    "LamLevel",
    "Loop",
    "Negotiation",
    "PoolNegotiation",
    "Question",
    "Response",
    "Round",
    "Tally",
    "Tangents",
    "WamLevel",
    "aside_of",
    "drive",
    "drive_async",
    "estimate_for",
    "negotiate",
    "negotiate_pool",
    "share_rest",
]
