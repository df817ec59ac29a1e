"""The evaluation set of the prompts, and its judge: how good the configured models are, and whether they may serve."""
