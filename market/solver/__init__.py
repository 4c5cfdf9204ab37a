"""The exact clearing: local-area markets, the wide-area market, and the dual method below them."""
