"""The section of the market with its prices and tariffs."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from cosim.scenario.extension import Extension
from cosim.scenario.units import KW, ONE, USD_PER_KWH, Above, Hourly, NotNegative


class GridPrices(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[market.grid]: what the upstream grid sells and buys at the feeder head."""

    import_price: Annotated[
        Hourly, Meta(description="Price of imports; one number, or 24 by local hour.", extra=USD_PER_KWH)
    ] = (
        0.11, 0.10, 0.10, 0.10, 0.10, 0.11, 0.13, 0.15, 0.14, 0.12, 0.11, 0.10,
        0.09, 0.09, 0.09, 0.10, 0.12, 0.15, 0.18, 0.20, 0.20, 0.18, 0.15, 0.12,
    )  # fmt: skip
    export_price: Annotated[
        Hourly,
        Meta(description="Price paid for exports; one number, or 24 by local hour.", extra=USD_PER_KWH),
    ] = 0.05
    import_limit_kw: Annotated[NotNegative, Meta(description="Largest import.", extra=KW)] = 6000.0
    export_limit_kw: Annotated[NotNegative, Meta(description="Largest export.", extra=KW)] = 6000.0


class Tariff(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[market.tariff]: the utility outside the market: fallback, no-sharing benchmark and imbalance."""

    retail_price: Annotated[
        Hourly,
        Meta(description="Price of buying from the utility; at least the import price.", extra=USD_PER_KWH),
    ] = 0.3
    feed_in_price: Annotated[
        Hourly,
        Meta(description="Price of selling to the utility; at most the export price.", extra=USD_PER_KWH),
    ] = 0.04


class HorizonForecast(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[market.ahead]: what is known of later intervals where the market has a horizon."""

    load_error: Annotated[
        NotNegative,
        Meta(
            description="Relative standard error of load expected a day ahead, common to all; it grows with "
            "the square root of the time ahead. 0: later intervals are known.",
            extra=ONE,
        ),
    ] = 0.0
    sun_error: Annotated[
        NotNegative, Meta(description="The same of available PV, common to all.", extra=ONE)
    ] = 0.0
    price_error: Annotated[
        NotNegative, Meta(description="The same of the grid's import and export price.", extra=ONE)
    ] = 0.0
    end: Annotated[
        Literal["valued", "cyclic"],
        Meta(
            description="What holds at the end of the horizon. valued: a kWh left in a battery is worth the "
            "mean import price of a day. cyclic: batteries hold no less than at the start of the run besides."
        ),
    ] = "valued"


class MarketSection(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[market]: the rules of both layers."""

    rule: Annotated[
        Literal["demand-function", "quantity"],
        Meta(
            description="Game that members and LAMs play. demand-function: they bid demand functions, and "
            "the grid stands behind the wide-area market. quantity: members choose how much they share, "
            "trade with the utility besides, and shared energy balances among the LAMs.",
        ),
    ] = "demand-function"
    price_span: Annotated[
        Above,
        Meta(
            description="Rule quantity: rise of a LAM's price if each of its members bought a kW more; a "
            "member alone moves it by this over their number.",
            extra={"unit": "$/kWh per kW"},
        ),
    ] = 0.08
    anchor: Annotated[
        Literal["price", "intercept"],
        Meta(
            description="Rule quantity: whether the wide-area market makes a LAM's price, or its intercept, "
            "from which a shortage lifts it."
        ),
    ] = "price"
    bidding: Annotated[
        Literal["curve", "slope", "plain"],
        Meta(
            description="Form of the bids in both layers. curve: the whole price response, one round. "
            "slope and plain: prices are announced and answered in rounds until all agree, with the answer's "
            "slope or without it; the outcome is the same.",
        ),
    ] = "curve"
    lam_sensitivity: Annotated[
        Above, Meta(description="Slope a of members' demand functions.", extra={"unit": "kW per $/kWh"})
    ] = 5.0
    lam_fee: Annotated[
        NotNegative, Meta(description="Fee of the local-area market on each trade.", extra=USD_PER_KWH)
    ] = 0.002
    wam_sensitivity: Annotated[
        Above, Meta(description="Slope A of the LAMs' demand functions.", extra={"unit": "kW per $/kWh"})
    ] = 2000.0
    wam_fee: Annotated[
        NotNegative, Meta(description="Fee of the wide-area market on each LAM's trade.", extra=USD_PER_KWH)
    ] = 0.002
    network: Annotated[
        bool,
        Meta(
            description="Whether limits of the feeder enter the clearing; without them the market trades as "
            "if lines and voltages had none, and AC power flow shows what that does."
        ),
    ] = True
    conjecture: Annotated[
        Literal["sharing", "price-taking"],
        Meta(description="Whether a LAM reckons with its own effect on the price, or takes it as given."),
    ] = "sharing"
    horizon: Annotated[
        int,
        Meta(
            ge=0,
            le=192,
            description="Intervals that are cleared at a time, stores' energy coupling them: each interval "
            "the market clears so many from it on, binds the first and publishes the prices of the others. "
            "0: each by itself, stored energy at its owners' own outlook. Needs the extra `horizon`.",
        ),
    ] = 0
    ahead: Annotated[HorizonForecast, Meta(description="What is known of later intervals.")] = (
        HorizonForecast()
    )
    lam_shares: Annotated[
        int,
        Meta(
            ge=0,
            le=64,
            description="In how many shares processes of the role lam operate the LAMs, beside the market's "
            "process; each may have several. 0 leaves all LAMs to that.",
        ),
    ] = 0
    strategy: Annotated[Extension, Meta(description="How prosumers bid.")] = Extension()
    grid: Annotated[GridPrices, Meta(description="The upstream grid.")] = GridPrices()
    tariff: Annotated[Tariff, Meta(description="The utility's tariffs.")] = Tariff()
