"""Learning once over many cities, real and simulated."""
