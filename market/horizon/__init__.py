"""The market over a horizon: intervals coupled by stores, in one equilibrium (docs/market.md, section 8)."""
