"""Every message that crosses a process or a system. Imports nothing of ours."""
