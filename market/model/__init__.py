"""What a market is made of: the case, price-response curves, responses of prosumers, strategies, limits."""
