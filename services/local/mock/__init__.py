"""A mock company: closed tickets to learn from and live tickets to triage, where no real ones are at hand."""
