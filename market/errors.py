"""What can go wrong in the market, each said in one line.

MarketError       (a SharegridError)
├── CaseError      the input is malformed
├── Infeasible     no trade meets every limit
└── NotConverged   the solver gave up short of its tolerance
"""

from sharegrid.errors import SharegridError


class MarketError(SharegridError):
    """Root of the market's errors."""


class CaseError(MarketError):
    """A malformed case; the message names the key and the index."""


class Infeasible(MarketError):
    """No admissible trade meets a limit.

    Attributes
    ----------
    what
        The balance, network row or LAM that cannot be met.
    amount
        By how much, in ``unit``, at the least total violation.
    unit
        kW for power, "row units" for a network row.
    index
        Index of the network row or LAM; None for the power balance.
    others
        How many other limits are missed with it.
    intervals
        In how many intervals limits are missed.
    because
        Who needs what the limit does not let through, where that is known.
    """

    def __init__(
        self, what: str, amount: float, unit: str = "kW", index: int | None = None, others: int = 0, *,
        intervals: int = 1, because: str = "",
    ) -> None:  # fmt: skip
        over = f" over {intervals} intervals" if intervals > 1 else ""
        more = f", and {others} more{over}" if others else ""
        why = f"; {because}" if because else ""
        super().__init__(f"{what} cannot be met: {amount:.6g} {unit} beyond its limit{more}{why}")
        self.what = what
        self.amount = amount
        self.unit = unit
        self.index = index
        self.others = others
        self.intervals = intervals
        self.because = because


class NotConverged(MarketError):
    """The solver stopped above its tolerance.

    Attributes
    ----------
    iterations
        Iterations spent.
    residual_kw
        Largest imbalance or limit violation left [kW].
    because
        What is at fault and what to do, where that is known.
    """

    def __init__(self, iterations: int, residual_kw: float, because: str = "") -> None:
        remedy = because or "check the case's scales"
        super().__init__(f"not converged after {iterations} iterations: {residual_kw:.3g} kW left; {remedy}")
        self.iterations = iterations
        self.residual_kw = residual_kw
