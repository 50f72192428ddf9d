# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The clusters the demo can run on, each with what it is honest about."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rig import crds
from rig.standin import StandIn

NO_JUJU = (
    "No Juju: a model in miniature plays its events and hook tools; each hook is a real process "
    "of src/charm.py. `update-status` comes every second here, every five minutes in Juju."
)
STAND_IN = (
    "No RBG controller: a small stand-in plays what the genuine one was recorded to do, and no "
    "container runs anywhere."
)


@dataclass
class Stage:
    """A cluster ready for the demo.

    Attributes:
        cluster: client(), kubeconfig() and service_account_kubeconfig() of it.
        namespace: fresh, and removed afterwards.
        honest: what is emulated, one sentence each.
    """

    cluster: Any
    namespace: str
    honest: list[str]


def _stand_in(cluster: Any, namespace: str) -> contextlib.AbstractContextManager[Any]:
    return StandIn(cluster.kubeconfig(), namespace=namespace).running()


@contextlib.contextmanager
def embedded() -> Iterator[Stage]:
    """In this process, ready in a moment."""
    from rig.embedded import EmbeddedCluster

    with EmbeddedCluster.start(delay=1.0) as cluster:
        cluster.install_crds([crds.release_dir()])
        emulated = "No Kubernetes: an HTTP emulator in this process plays its API."
        with cluster.namespace("demo") as namespace, _stand_in(cluster, namespace):
            yield Stage(cluster, namespace, [NO_JUJU, emulated, STAND_IN])


@contextlib.contextmanager
def control_plane() -> Iterator[Stage]:
    """A real API server, built from source once (many minutes), then started in seconds."""
    from rig.controlplane import ControlPlane, build

    build.ensure(build.KUBERNETES + build.LWS)
    with ControlPlane.start(lws=True) as cluster:
        cluster.install_release()
        real = "Kubernetes' API server, scheduler and controllers are real; nodes are KWOK's."
        with cluster.namespace("demo") as namespace, _stand_in(cluster, namespace):
            yield Stage(cluster, namespace, [NO_JUJU, real, STAND_IN])


@contextlib.contextmanager
def kubeconfig(path: Path | None = None) -> Iterator[Stage]:
    """Your own cluster, in a namespace of the demo's own; RBG must be installed there."""
    from rig.controlplane import ExternalCluster

    with ExternalCluster(path) as cluster:
        cluster.install_release()  # only checks that it is there
        with cluster.namespace("rbg-k8s-demo") as namespace:
            yield Stage(cluster, namespace, [NO_JUJU, f"The cluster is yours: {cluster.url}"])


CLUSTERS = {"embedded": embedded, "control-plane": control_plane, "kubeconfig": kubeconfig}
