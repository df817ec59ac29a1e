"""Freshservice: API 2 out, workflow webhooks in, or polling."""
