"""Scaling adapters where they fail: no selector (trap 4), 0.7, a role that is gone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lightkube.resources.core_v1 import Pod
from standin_world import ADAPTER, DEPLOYMENT, NEW, RBG, STS, World, raw, role
from test_standin_adapters import bound, counts, missing, renewed, scalable, selector

from rig.standin import ALL_TRAPS

Start = Callable[..., World]


@pytest.mark.parametrize("kind", [STS, DEPLOYMENT])
def test_4_no_selector_for_other_workloads(world: Start, kind: str) -> None:
    here = world()
    here.apply("g", scalable("web", 1, kind=kind))
    assert not bound(here, "g-web")["status"].get("selector")
    here.until(lambda: len(here.images()) == 1)
    # It scales all the same.
    here.scale(ADAPTER, "g-web", 2)
    here.until(lambda: len(here.images()) == 2)
    assert not here.status(ADAPTER, "g-web")["selector"]


def test_0_7_loses_pods_first(world: Start) -> None:
    here = world(release="v0.7")
    here.apply("g", scalable("engine"))
    here.ready("g")
    bound(here, "g-engine")
    here.scale(ADAPTER, "g-engine", 4)
    here.until(lambda: here.state("g").roles == {"engine": (4, 4, 4)})
    owners = {entry["manager"] for entry in here.group("g")["metadata"]["managedFields"]}
    assert {"test", "manager"} <= owners
    before = here.get(Pod, "g-engine-3")["metadata"]["uid"]
    here.apply("g", scalable("engine"))
    here.until(lambda: here.status(ADAPTER, "g-engine")["readyReplicas"] != 4)
    here.until(lambda: here.state("g").roles == {"engine": (4, 4, 4)})
    assert counts(here, "g") == {"engine": 4}
    assert here.get(Pod, "g-engine-3")["metadata"]["uid"] != before


@pytest.mark.parametrize("release", ["v0.8", "v0.7"])
def test_4_a_selector_read_too_early(world: Start, release: str) -> None:
    """The genuine one has one of four like that, when many are made together."""
    here = world(ALL_TRAPS, release)
    here.apply("g", scalable("engine"), scalable("multi", 1, size=2))
    uid = bound(here, "g-engine")["metadata"]["uid"]
    leaders = bound(here, "g-multi")
    assert leaders["status"]["selector"] == f",{NEW}component-index=0"
    here.ready("g")
    # Neither time nor scaling repairs it.
    here.scale(ADAPTER, "g-engine", 3)
    here.until(lambda: here.state("g").roles["engine"] == (3, 3, 3))
    assert missing(here.get(ADAPTER, "g-engine"))
    adapter = renewed(here, "g-engine", uid)
    assert adapter["status"]["selector"] == selector(here, "g", "engine")
    assert adapter["spec"]["replicas"] == 3


def test_4_off(world: Start) -> None:
    here = world(ALL_TRAPS - {"4"}, "v0.7")
    here.apply("g", scalable("engine", 1))
    assert bound(here, "g-engine")["status"]["selector"] == selector(here, "g", "engine")


def test_an_adapter_whose_role_is_gone(world: Start) -> None:
    """While a dependency keeps the clean-up away, the adapter says so."""
    here = world()
    here.apply("g", scalable("old", 1), role("engine", 1))
    here.ready("g")
    bound(here, "g-old")
    here.apply("g", role("engine", 2, hold=True), role("router", 1, after=("engine",)))
    here.until(lambda: here.state("g").observed == here.state("g").generation)
    here.scale(ADAPTER, "g-old", 2)
    here.until(lambda: here.status(ADAPTER, "g-old")["phase"] == "NotBound")
    here.until(lambda: "FailedGetRBGRole" in here.events("g-old"))
    assert raw(here.client.get(RBG, "g", namespace=here.namespace))["spec"]["roles"][0][
        "name"
    ] == "engine"  # fmt: skip
