"""The session fixture `control_plane`, for every test directory that wants a real API server.

from rig.controlplane.pytest_plugin import control_plane  # in a conftest.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from . import build
from .cluster import Cluster, ExternalCluster
from .controlplane import ControlPlane


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The cluster to test against: the one that `KUBECONFIG` names, else our own control plane."""
    if os.environ.get("KUBECONFIG"):
        with ExternalCluster() as cluster:
            yield cluster
        return
    capture: Any = request.config.pluginmanager.getplugin("capturemanager")
    # A first build takes minutes: its progress must be seen while it goes on, not when it failed.
    with capture.global_and_fixture_disabled():
        build.ensure(build.KUBERNETES + build.LWS)
    with ControlPlane.start(lws=True) as cluster:
        yield cluster
