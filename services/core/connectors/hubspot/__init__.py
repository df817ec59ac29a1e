"""HubSpot tickets: CRM API 3 out, signed webhooks that bundle events in, or polling by search."""
