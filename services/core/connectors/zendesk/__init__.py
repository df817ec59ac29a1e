"""Zendesk: `inbound` reads its webhooks, `api` speaks its REST, `connector` is the port."""
