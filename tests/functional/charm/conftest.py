# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The charm's own code against a real API server, in a namespace of each test's own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster import Cluster
from rig import crds
from rig.controlplane.pytest_plugin import control_plane
from tests.functional.charm.world import World

__all__ = ["control_plane"]


def newest_release() -> Path:
    """The CRDs to test against: RBG_CRDS, else the newest genuine ones, else our own."""
    genuine = crds.genuine()
    return crds.release_dir(genuine[-1] if genuine else crds.V0_8)


@pytest.fixture(scope="session")
def cluster(control_plane: Any) -> Any:
    """The control plane with RBG's definitions."""
    control_plane.install_release(newest_release())
    return control_plane


@pytest.fixture
def namespace(cluster: Any) -> Iterator[str]:
    """A namespace, also the name of the Juju model."""
    with cluster.namespace() as name:
        yield name


@pytest.fixture
def world(cluster: Any) -> Iterator[World]:
    """A Juju model in miniature on the cluster, with an RBG controller."""
    with World.running(cluster) as world:
        yield world


@pytest.fixture
def room(namespace: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Cluster]]:
    """Makes the charm's cluster room in this process, with a kubeconfig of the test's choice."""
    made: list[Cluster] = []

    def make(kubeconfig: Path) -> Cluster:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        made.append(Cluster("llama", namespace))
        return made[-1]

    yield make
    for one in made:
        if "_client" in vars(one):  # a hook's process ends; this one goes on
            one._client._client.close()
