"""Standing links of a run to others: co-simulation by HELICS, and functional mock-up units (FMI)."""
