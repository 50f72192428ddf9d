"""Strategic merge of pod templates, JSON merge and JSON patch."""

from __future__ import annotations

from typing import Any

import pytest

from rig.standin.merge import json_merge, json_patch, strategic_merge

BASE = {
    "spec": {
        "containers": [
            {
                "name": "a",
                "image": "a:1",
                "args": ["x", "y"],
                "env": [{"name": "ONE", "value": "1"}, {"name": "TWO", "value": "2"}],
                "ports": [{"containerPort": 80}],
                "volumeMounts": [{"mountPath": "/m", "name": "v"}],
            },
            {"name": "b", "image": "b:1"},
        ],
        "nodeSelector": {"k": "v"},
    }
}


def _merged(container: dict[str, Any]) -> dict[str, Any]:
    merged = strategic_merge(BASE, {"spec": {"containers": [{"name": "a", **container}]}})
    return next(c for c in merged["spec"]["containers"] if c["name"] == "a")


def test_a_container_is_found_by_its_name() -> None:
    merged = strategic_merge(BASE, {"spec": {"containers": [{"name": "b", "image": "b:2"}]}})
    assert [c["image"] for c in merged["spec"]["containers"]] == ["a:1", "b:2"]
    assert BASE["spec"]["containers"][1]["image"] == "b:1"  # type: ignore[index]


def test_lists_with_a_key_merge_and_others_are_replaced() -> None:
    merged = _merged({
        "args": ["z"],
        "env": [{"name": "TWO", "value": "two"}, {"name": "THREE", "value": "3"}],
        "ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 81}],
        "volumeMounts": [{"mountPath": "/m", "name": "w"}],
    })  # fmt: skip
    assert merged["args"] == ["z"]
    assert {e["name"]: e["value"] for e in merged["env"]} == {
        "ONE": "1", "TWO": "two", "THREE": "3"}  # fmt: skip
    assert {p["containerPort"]: p.get("name") for p in merged["ports"]} == {80: "http", 81: None}
    assert merged["volumeMounts"] == [{"mountPath": "/m", "name": "w"}]


def test_patch_delete_and_replace_and_null() -> None:
    assert [e["name"] for e in _merged({"env": [{"name": "ONE", "$patch": "delete"}]})["env"]] == [
        "TWO"
    ]
    replaced = _merged({"env": [{"$patch": "replace"}, {"name": "NEW", "value": "n"}]})
    assert replaced["env"] == [{"name": "NEW", "value": "n"}]
    assert strategic_merge(BASE, {"spec": {"nodeSelector": None}})["spec"].keys() == {"containers"}
    fresh = strategic_merge(BASE, {"spec": {"nodeSelector": {"$patch": "replace", "n": "w"}}})
    assert fresh["spec"]["nodeSelector"] == {"n": "w"}


def test_json_merge_replaces_lists_and_drops_nulls() -> None:
    assert json_merge({"a": [1, 2], "b": {"c": 1, "d": 2}}, {"a": [3], "b": {"c": None}}) == {
        "a": [3], "b": {"d": 2}}  # fmt: skip


def test_json_patch() -> None:
    base = {"spec": {"roles": [{"replicas": 1}], "a/b": 1}}
    done = json_patch(base, [
        {"op": "test", "path": "/spec/a~1b", "value": 1},
        {"op": "replace", "path": "/spec/roles/0/replicas", "value": 3},
        {"op": "add", "path": "/spec/roles/-", "value": {"replicas": 0}},
        {"op": "remove", "path": "/spec/a~1b"},
    ])  # fmt: skip
    assert done == {"spec": {"roles": [{"replicas": 3}, {"replicas": 0}]}}


@pytest.mark.parametrize("operation", [
    {"op": "replace", "path": "/spec/none", "value": 1},
    {"op": "remove", "path": "/none/deep"},
    {"op": "test", "path": "/spec/a", "value": 2},
    {"op": "copy", "path": "/spec/a"},
])  # fmt: skip
def test_json_patch_refuses(operation: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"not found|failed|unsupported"):
        json_patch({"spec": {"a": 1}}, [operation])
