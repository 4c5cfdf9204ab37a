"""Independent solutions by cvxpy: the whole program at once, and members with convex costs of any kind."""
