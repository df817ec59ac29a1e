"""What every container needs whatever its job: settings, errors, database, workflows, telemetry."""
