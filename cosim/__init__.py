"""The testbed itself: scenario, feeder in the loop, composition of the services, results."""
