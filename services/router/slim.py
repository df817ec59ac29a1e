"""
Imports kserve without what a router never uses: 62 MiB of resident memory and half the start time.

`kserve/__init__.py` imports a Kubernetes API client with 500 generated models; `kserve/protocol/infer_type.py` imports
pandas for a conversion we do not call. Measured with kserve 0.21.0: 140 MiB as it is, 78 MiB so. The two entries below
stand in for them in this process only; tests/services/router checks that the server works and what it imports.
"""

import importlib.util
import sys
from types import ModuleType


def import_slim() -> None:
    """Call before the first `import kserve...`; does nothing for what is imported already."""
    if "kserve" not in sys.modules:
        spec = importlib.util.find_spec("kserve")
        if spec is None or spec.submodule_search_locations is None:
            raise ModuleNotFoundError(
                "kserve is not installed. Install the router's set: pip install pointsman[router]"
            )
        package = ModuleType("kserve")
        package.__path__ = list(spec.submodule_search_locations)
        package.__spec__ = spec
        sys.modules["kserve"] = package
    if "pandas" not in sys.modules:
        placeholder = ModuleType("pandas")
        placeholder.DataFrame = type("DataFrame", (), {})  # ty: ignore[missing-attribute]  # named in annotations
        sys.modules["pandas"] = placeholder
