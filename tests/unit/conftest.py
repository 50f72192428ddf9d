# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"


@pytest.fixture
def shared() -> Path:
    """Recordings and CRDs of the genuine RBG, where the checkout has them beside it."""
    if not SHARED.is_dir():
        pytest.skip("../shared is not there")
    return SHARED


@pytest.fixture
def update_golden() -> bool:
    """Whether golden files are to be written anew (a change of one needs a reason)."""
    return bool(os.environ.get("UPDATE_GOLDEN"))
