"""Plans the real programs without a CLI, credentials or network. It sees registrations, not a cloud's answers."""
