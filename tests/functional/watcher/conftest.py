# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The charm with its sidecar on a real API server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.charm.conftest import cluster, control_plane, namespace
from tests.functional.watcher.live import SMALL, Live, living

__all__ = ["cluster", "control_plane", "namespace"]


@pytest.fixture
def live(cluster, namespace: str, tmp_path: Path) -> Iterator[Live]:
    """A group with an RBG controller."""
    with living(cluster, namespace, tmp_path) as world:
        yield world


@pytest.fixture
def still(cluster, namespace: str, tmp_path: Path) -> Iterator[Live]:
    """A group of one engine whose only pod does what the test says; all is quiet."""
    with living(cluster, namespace, tmp_path, controller=False) as world:
        world.deploy(engine=SMALL)
        world.add_pod("llama-engine-0")
        world.say("llama-engine-0", ready=True)
        world.shows("active: engine 1/1")
        world.quiet()
        yield world
