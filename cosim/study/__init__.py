"""A feeder studied without a market: the commands under ``sharegrid feeder``."""
