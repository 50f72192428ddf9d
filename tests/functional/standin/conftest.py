"""The stand-in on the embedded cluster; on the real one: ``RBG_STANDIN_ON=control-plane``.

``RBG_CONTROLLER=/path/to/binary RBG_CRDS=DIR`` runs the same tests on the real one with the
genuine controller, as far as they ask for neither a trap nor a release: what they say of the
stand-in is then shown to be true of the genuine one.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# `rig` is no installed package, and these tests import their own helpers by name.
for path in (Path(__file__).parents[3], Path(__file__).parent):
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))

from standin_world import CRDS, RBG_OLD, Here, World  # noqa: E402

from rig.standin import StandIn  # noqa: E402

with contextlib.suppress(ImportError):
    from rig.controlplane.pytest_plugin import control_plane  # noqa: F401

GENUINE = bool(os.environ.get("RBG_CONTROLLER"))
REAL = GENUINE or os.environ.get("RBG_STANDIN_ON") == "control-plane"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what needs the other kind of cluster."""
    wrong = "embedded_only" if REAL else "control_plane_only"
    for item in items:
        if item.get_closest_marker(wrong):
            item.add_marker(pytest.mark.skip(reason=wrong.replace("_", " ")))


def pytest_configure(config: pytest.Config) -> None:
    """Declares the markers."""
    config.addinivalue_line("markers", "embedded_only: runs on the embedded cluster only")
    config.addinivalue_line("markers", "control_plane_only: needs what kmock does not emulate")


def _definitions() -> Any:
    """Our own compact definitions, whose markers the embedded cluster knows, or ``RBG_CRDS``."""
    if not os.environ.get("RBG_CRDS"):
        return CRDS / "v0.8"
    from rig import crds

    return crds.load(crds.release_dir())


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A cluster with the definitions of RBG 0.8."""
    if REAL:
        from rig import crds, rbg

        real = request.getfixturevalue("control_plane")
        real.install_crds(crds.load(crds.release_dir(), real.api))
        with rbg.controller(real, "") if GENUINE else contextlib.nullcontext():
            yield real
        return
    pytest.importorskip("kmock", reason="the embedded cluster needs kmock (Python 3.11)")
    from rig.embedded import EmbeddedCluster

    with EmbeddedCluster.start(delay=0.1) as embedded:
        embedded.install_crds(_definitions())
        yield embedded


@pytest.fixture
def world(cluster: Any) -> Iterator[Callable[..., World]]:
    """Gives a namespace with a stand-in of its own, with the traps asked for."""
    with contextlib.ExitStack() as stack:

        def start(traps: frozenset[str] | None = None, release: str = "v0.8") -> World:
            if GENUINE and (traps is not None or release != "v0.8"):
                pytest.skip("the genuine controller has its own traps and release")
            namespace = stack.enter_context(cluster.namespace())
            if not GENUINE:
                standin = StandIn(
                    cluster.kubeconfig(), traps=traps, release=release, namespace=namespace
                )
                stack.enter_context(standin.running())
            return World(cluster.client(namespace), namespace, genuine=GENUINE)

        yield start


@pytest.fixture
def old_world() -> Iterator[Callable[..., World]]:
    """The same for RBG up to 0.6, whose definitions serve v1alpha1 only."""
    pytest.importorskip("kmock", reason="the embedded cluster needs kmock (Python 3.11)")
    from rig.embedded import EmbeddedCluster

    with contextlib.ExitStack() as stack:

        def start(release: str) -> World:
            embedded = stack.enter_context(EmbeddedCluster.start(delay=0.1))
            embedded.install_crds(CRDS / "v0.6")
            namespace = stack.enter_context(embedded.namespace())
            standin = StandIn(embedded.kubeconfig(), release=release, namespace=namespace)
            stack.enter_context(standin.running())
            return World(embedded.client(namespace), namespace, rbg=RBG_OLD)

        yield start


@pytest.fixture(scope="session")
def embedded() -> Iterator[Any]:
    """An embedded cluster, whatever the other tests run on."""
    pytest.importorskip("kmock", reason="the embedded cluster needs kmock (Python 3.11)")
    from rig.embedded import EmbeddedCluster

    with EmbeddedCluster.start(delay=0.05) as cluster:
        cluster.install_crds(CRDS / "v0.8")
        yield cluster


@pytest.fixture
def here(embedded: Any) -> Iterator[Here]:
    """A namespace of the embedded cluster."""
    with embedded.namespace() as namespace:
        yield Here(embedded, namespace)
