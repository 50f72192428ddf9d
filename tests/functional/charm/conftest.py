# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The charm's own code against a real API server, in a namespace of each test's own."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rig import crds, rbg
from rig.controlplane.pytest_plugin import control_plane
from rig.juju import Model
from rig.juju.kubernetes import LightkubeKubernetes
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
def world(cluster: Any, namespace: str) -> Iterator[World]:
    """A Juju model in miniature on the cluster, with an RBG controller."""
    kubernetes = LightkubeKubernetes(
        cluster.client(namespace), cluster.service_account_kubeconfig
    )
    with rbg.controller(cluster, namespace), Model(namespace, kubernetes) as model:
        yield World(model, cluster, namespace)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the charm's code in this process use a kubeconfig."""

    def use(path: Path) -> None:
        monkeypatch.setenv("KUBECONFIG", str(path))

    with contextlib.suppress(KeyError):
        del os.environ["KUBERNETES_SERVICE_HOST"]
    return use
