"""
After `pulumi up`: one check per capability, read-only but for a test object and message, taken away again.

It reads the contract and nothing else, with the rights of whoever runs it.
"""

from infra.smoke.run import CLOUDS, smoke

__all__ = ["CLOUDS", "smoke"]
