# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"
SGLANG = EXAMPLES / "sglang-k8s"
MODULES = ("options", "sglang", "standing", "charm")


@pytest.fixture(scope="session")
def example() -> SimpleNamespace:
    """The modules of examples/sglang-k8s, imported without a trace: it has a `charm` too."""
    hidden = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    sys.path.insert(0, str(SGLANG / "src"))
    try:
        return SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    finally:
        sys.path.remove(str(SGLANG / "src"))
        for name in MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)
