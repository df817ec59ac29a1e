"""What was built at the start is not looked through again, and what later turns in circles is still freed."""

import subprocess
import sys

SETTLED = """
import gc, weakref
from services.core.kit.collecting import YOUNG, settle
settle()
class Circle: pass
circle = Circle(); circle.itself = circle
gone = weakref.ref(circle); del circle
kept = [[] for _ in range(YOUNG + 1)]
print(gc.get_freeze_count() > 1_000, gone() is None)
"""


def test_the_start_is_set_aside_and_later_circles_are_found() -> None:
    done = subprocess.run([sys.executable, "-c", SETTLED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
