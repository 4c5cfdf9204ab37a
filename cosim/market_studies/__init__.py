"""Studies of the market: small declared sweeps whose numbers, figures and text one command makes."""
