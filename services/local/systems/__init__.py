"""Real ticketing systems from Debian's packages, each on a fresh database of its own, to try and test against."""
