"""The policies: plain functions in `rules/`, one registry, two callers (the offline plan and CrossGuard)."""
