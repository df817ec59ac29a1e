"""ServiceNow incidents: the Table API out, a signed business rule in, or polling."""
