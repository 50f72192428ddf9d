"""RBG's webhook on the embedded cluster, where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from lightkube.core.exceptions import ApiError
from standin_world import ADAPTER, Here, Obj, World, raw, role
from test_standin_adapters import bound, counts, scalable

from rig.embedded import admission
from rig.standin import StandIn

pytestmark = pytest.mark.embedded_only
DENIED = 'admission webhook "vrolebasedgroup.kb.io" denied the request: '
PARTITION = "spec.roles[0].rolloutStrategy.rollingUpdate.partition: "


@pytest.fixture
def guarded(here: Here) -> Iterator[Here]:
    """A namespace of a cluster with RBG's webhook."""
    here.cluster.admit(admission.rbg(here.cluster.api.store))
    yield here
    here.cluster.admit(None)


def refused(here: Here, *roles: Obj, **meta: Any) -> str:
    """What the webhook says."""
    with pytest.raises(ApiError) as error:
        here.apply(*roles, **meta)
    assert (error.value.status.code, error.value.status.reason) == (403, "Forbidden")
    message = error.value.status.message or ""
    assert message.startswith(DENIED)
    return message.removeprefix(DENIED)


@pytest.mark.parametrize(("partition", "replicas", "told"), [
    (3, 3, "3 must be less than replicas 3"),
    ("100%", 2, "2 must be less than replicas 2"),
    ("50%", 1, "1 must be less than replicas 1"),
    ("99%", 3, "3 must be less than replicas 3"),
])  # fmt: skip
def test_a_partition_as_large_as_the_role(
    guarded: Here, partition: int | str, replicas: int, told: str
) -> None:
    spec = role("engine", replicas, rolling={"partition": partition})
    assert refused(guarded, spec) == PARTITION + told


@pytest.mark.parametrize(("partition", "replicas"), [(2, 3), ("50%", 2), (5, 0)])
def test_a_partition_that_may_be(guarded: Here, partition: int | str, replicas: int) -> None:
    guarded.apply(role("engine", replicas, rolling={"partition": partition}))


def test_a_role_scaled_down_to_its_partition(guarded: Here) -> None:
    guarded.apply(role("engine", 3, rolling={"partition": 1}))
    spec = role("engine", 1, rolling={"partition": 1})
    assert refused(guarded, spec) == PARTITION + "1 must be less than replicas 1"


def test_nothing_may_move(guarded: Here) -> None:
    stuck = {"maxSurge": 0, "maxUnavailable": "10%"}
    text = refused(guarded, role("a", rolling=stuck), role("b", rolling=stuck))
    one = "rolloutStrategy.rollingUpdate: maxSurge and maxUnavailable cannot both be 0"
    assert text == f"[spec.roles[0].{one}, spec.roles[1].{one}]"


def test_a_name_with_a_dot(guarded: Here) -> None:
    assert refused(guarded, role("a"), name="a.b").startswith('metadata.name: "a.b"')


def test_another_count_than_the_adapters(guarded: Here) -> None:
    here = World(guarded.client, guarded.namespace)
    with StandIn(guarded.cluster.kubeconfig(), namespace=here.namespace).running():
        guarded.apply(scalable("engine"))
        bound(here, "g-engine")
        here.scale(ADAPTER, "g-engine", 4)
        here.until(lambda: counts(here, "g") == {"engine": 4})
        text = (
            'spec.roles[0].replicas (role "engine"): cannot be changed to 2 while '
            'scalingAdapter.enable is true and ScalingAdapter "g-engine" has spec.replicas 4'
        )
        assert refused(guarded, scalable("engine")) == text
        # The same count, or none, or no adapter any more: all fine.
        guarded.apply(scalable("engine", 4, image="e:2"))
        guarded.apply(role("engine", 2))
        here.until(lambda: here.all(ADAPTER) == {})


def test_an_adapter_is_refused_as_well(guarded: Here) -> None:
    """A role is not scaled down to its partition; the adapter tells it."""
    here = World(guarded.client, guarded.namespace)
    with StandIn(guarded.cluster.kubeconfig(), namespace=here.namespace).running():
        guarded.apply(scalable("engine", 3, rolling={"partition": 1}))
        bound(here, "g-engine")
        here.scale(ADAPTER, "g-engine", 1)
        here.until(lambda: "FailedScale" in here.events("g-engine"))
        assert "must be less than replicas 1" in here.events("g-engine")["FailedScale"]
        assert counts(here, "g") == {"engine": 3}


def test_a_dry_run_is_asked_too(guarded: Here) -> None:
    group = guarded.group(role("engine", 1, rolling={"partition": 1}))
    with pytest.raises(ApiError) as error:
        guarded.client.create(group, dry_run=True)
    assert error.value.status.code == 403


def test_by_default_there_is_none(here: Here) -> None:
    assert raw(here.client.create(here.group(role("engine", 1, rolling={"partition": 1}))))
