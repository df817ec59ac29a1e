"""What the extractive default loads: memory is shared by five containers on one small node."""

import subprocess
import sys

HEAVY = (
    "pydantic_ai",
    "openai",
    "boto3",
    "botocore",
    "google.genai",
    "azure",
    "torch",
    "transformers",
    "numpy",
    "jinja2",
)
PROGRAM = f"""
import sys
from services.core.llm import build, metered, evaluate
from services.core.llm.config import LlmConfig
build.build_llm(LlmConfig())
print([name for name in {HEAVY!r} if name in sys.modules])
"""


def test_the_extractive_default_loads_no_vendors_library():
    """Importing every door of the room and building the default loads nothing heavy."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
