"""The embedded API: ``/scale``, and who owns what is written without apply."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lightkube.core.exceptions import ApiError
from lightkube.models.autoscaling_v1 import Scale
from lightkube.resources.apps_v1 import Deployment
from lightkube.types import PatchType
from standin_world import ADAPTER, RBG, Here, Obj, raw, role, template

pytestmark = pytest.mark.embedded_only


def _adapter(here: Here, **spec: Any) -> Obj:
    body = {"metadata": {"name": "a", "namespace": here.namespace},
            "spec": {"scaleTargetRef": {"name": "g", "role": "engine"}, **spec}}  # fmt: skip
    return raw(here.client.create(ADAPTER.from_dict(body)))


def _scale(here: Here) -> Obj:
    return raw(here.client.get(ADAPTER.Scale, "a", namespace=here.namespace))


def test_a_scale_is_read(here: Here) -> None:
    made = _adapter(here, replicas=2)
    status = {"status": {"replicas": 1, "selector": "a=b"}}
    here.client.patch(ADAPTER.Status, "a", status, namespace=here.namespace,
                      patch_type=PatchType.MERGE)  # fmt: skip
    found = _scale(here)
    assert found["kind"] == "Scale"
    assert found["spec"] == {"replicas": 2}
    assert found["status"] == {"replicas": 1, "selector": "a=b"}
    assert found["metadata"]["uid"] == made["metadata"]["uid"]


def test_a_scale_is_written(here: Here) -> None:
    _adapter(here, replicas=2)
    patch = {"spec": {"replicas": 3}}
    answer = here.client.patch(
        ADAPTER.Scale, "a", patch, namespace=here.namespace, patch_type=PatchType.MERGE
    )
    assert raw(answer)["spec"] == {"replicas": 3}
    adapter = raw(here.client.get(ADAPTER, "a", namespace=here.namespace))
    assert adapter["spec"]["replicas"] == 3
    assert adapter["metadata"]["generation"] == 2
    assert adapter["spec"]["scaleTargetRef"] == {"name": "g", "role": "engine"}
    seen = _scale(here)
    seen["spec"]["replicas"] = 0
    here.client.replace(ADAPTER.Scale.from_dict(seen), "a", namespace=here.namespace)
    assert _scale(here)["spec"]["replicas"] == 0
    # What was read before is too old now.
    with pytest.raises(ApiError) as error:
        here.client.replace(ADAPTER.Scale.from_dict(seen), "a", namespace=here.namespace)
    assert error.value.status.code == 409


@pytest.mark.parametrize("replicas", [-1, "2"])
def test_a_count_that_is_none(here: Here, replicas: Any) -> None:
    _adapter(here, replicas=2)
    with pytest.raises(ApiError) as error:
        here.client.patch(ADAPTER.Scale, "a", {"spec": {"replicas": replicas}},
                          namespace=here.namespace, patch_type=PatchType.MERGE)  # fmt: skip
    assert error.value.status.code == 422
    assert _scale(here)["spec"]["replicas"] == 2


def test_without_a_count_there_is_no_scale(here: Here) -> None:
    _adapter(here)
    with pytest.raises(ApiError) as error:
        _scale(here)
    assert error.value.status.code == 500
    assert "spec.replicas" in (error.value.status.message or "")


def test_a_group_has_no_scale(here: Here) -> None:
    here.apply(role("engine"))
    with pytest.raises(ApiError) as error:
        here.client.get(RBG.Scale, "g", namespace=here.namespace)
    assert error.value.status.code == 404


def test_a_deployment_has_one(here: Here) -> None:
    labels = {"app": "web"}
    here.client.create(Deployment.from_dict({
        "metadata": {"name": "web", "namespace": here.namespace},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template("web")},
    }))  # fmt: skip
    scale: Scale = here.client.get(Deployment.Scale, "web", namespace=here.namespace)
    assert scale.status is not None
    assert scale.status.selector == "app=web"


def _owners(obj: Obj) -> dict[tuple[str, str, str], Obj]:
    return {
        (e["manager"], e["operation"], e.get("subresource", "")): e["fieldsV1"]
        for e in obj["metadata"]["managedFields"]
    }


def test_an_update_takes_the_field(here: Here) -> None:
    group = here.apply(role("engine"), role("router", 1))
    group["spec"]["roles"][0]["replicas"] = 5
    body = RBG.from_dict(group)
    changed = raw(here.client.replace(body, field_manager="scaler"))
    owners = _owners(changed)
    entry = {"f:spec": {"f:roles": {'k:{"name":"engine"}': {"f:replicas": {}}}}}
    assert owners["scaler", "Update", ""] == entry
    ours = owners["rbg-k8s", "Apply", ""]["f:spec"]["f:roles"]
    assert "f:replicas" not in ours['k:{"name":"engine"}']
    assert "f:replicas" in ours['k:{"name":"router"}']
    # Applied without, it stays; applied with, it conflicts, and force takes it back.
    spec = role("engine")
    del spec["replicas"]
    assert here.apply(spec, role("router", 1))["spec"]["roles"][0]["replicas"] == 5
    with pytest.raises(ApiError) as error:
        here.apply(role("engine"), role("router", 1), force=False)
    assert error.value.status.code == 409
    assert 'conflict with "scaler"' in (error.value.status.message or "")
    back = here.apply(role("engine"), role("router", 1))
    assert back["spec"]["roles"][0]["replicas"] == 2
    assert "scaler" not in json.dumps(back["metadata"]["managedFields"])


def test_a_patch_by_the_same_name_is_another_owner(here: Here) -> None:
    here.apply(role("engine"))
    patch = {"metadata": {"labels": {"x": "1"}}}
    changed = raw(here.client.patch(
        RBG, "g", patch, namespace=here.namespace, patch_type=PatchType.MERGE,
        field_manager="rbg-k8s"))  # fmt: skip
    owners = _owners(changed)
    assert owners["rbg-k8s", "Update", ""] == {"f:metadata": {"f:labels": {"f:x": {}}}}
    # So the label is not dropped by the next apply, which does not have it.
    assert here.apply(role("engine"))["metadata"]["labels"] == {"x": "1"}


def test_an_update_without_effect_owns_nothing(here: Here) -> None:
    group = here.apply(role("engine"))
    same = raw(here.client.replace(RBG.from_dict(group), field_manager="idle"))
    assert same["metadata"]["managedFields"] == group["metadata"]["managedFields"]
    assert same["metadata"]["resourceVersion"] == group["metadata"]["resourceVersion"]
