"""Plans the real programs without a CLI, credentials or network. It sees what they register, never what a cloud would answer."""
