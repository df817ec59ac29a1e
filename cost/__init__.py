"""What the platform costs: dated prices, a usage model, and pure functions from a planned stack to a bill."""
