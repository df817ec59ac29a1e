"""Jira Service Management: REST 3 out, signed webhooks in, or polling by JQL."""
