"""The prosumers: who they are, what load, sun and prices do to them, and how the market sees them."""
