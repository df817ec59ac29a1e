"""Request Tracker 5: REST 2 out, a signed scrip in, or polling."""
