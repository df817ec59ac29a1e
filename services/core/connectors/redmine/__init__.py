"""Redmine: REST out, polling, or the signed webhooks of Redmine 7."""
