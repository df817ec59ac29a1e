"""Before `pulumi up`: what is missing, and how to get it. Read-only; a check that cannot be made says so."""
