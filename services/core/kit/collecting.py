"""
How often Python looks for garbage in a container: what was built at the start is never looked through again.

A full pass over the half million objects of our imports stopped the gateway for 75 ms, several times in 6,000 webhooks,
and all passes together took a quarter of its processor time. What a request leaves behind in circles is still found.
"""

import gc

YOUNG = 10_000  # objects made and not yet freed that start a pass; CPython's 700 is eight webhooks


def settle() -> None:
    """To be called once, when everything that stays has been built. For the whole process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
