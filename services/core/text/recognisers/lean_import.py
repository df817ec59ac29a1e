"""
Imports spaCy and Presidio without the deep-learning frameworks they pick up when they happen to be installed.

thinc imports torch, and Presidio imports transformers, only to offer back ends we do not use: 300 MB resident.
"""

import importlib
import sys
import threading
from types import ModuleType

_HEAVY = ("torch", "transformers")
_LOCK = threading.Lock()


def lean_import(name: str) -> ModuleType:
    """The module `name`; torch and transformers look absent while it loads unless they were loaded before."""
    with _LOCK:
        hidden = [heavy for heavy in _HEAVY if heavy not in sys.modules]
        sys.modules.update(dict.fromkeys(hidden))  # ty: ignore[no-matching-overload]  # None makes import raise ImportError
        try:
            return importlib.import_module(name)
        finally:
            for heavy in hidden:
                sys.modules.pop(heavy, None)
