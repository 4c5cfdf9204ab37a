"""The operator's own problem, read literally: prices that cost members least, given how they answer them."""
