"""Tells teams what a person should look at: escalations, dead letters, candidates that failed their gates."""
