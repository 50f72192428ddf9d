"""Our compact definitions say the same as the genuine ones, pod templates aside."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from rig import crds


def slim(node: Any) -> Any:
    """Drop what is no rule, and write embedded Kubernetes types as our marker."""
    if isinstance(node, list):
        return [slim(item) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    fields = cast("dict[str, Any]", node)
    inner: dict[str, Any] = fields.get("properties") or {}
    if {"image", "imagePullPolicy", "livenessProbe"} <= set(inner):
        return {crds.MARKER: "Container"}
    if set(inner) == {"metadata", "spec"} and "containers" in inner["spec"].get("properties", {}):
        return {crds.MARKER: "PodTemplateSpec"}
    return {
        key: sorted(value) if key == "required" else slim(value)
        for key, value in fields.items()
        if not (key == "description" and isinstance(value, str))
    }


def versions(definition: dict[str, Any]) -> dict[str, Any]:
    return {version["name"]: slim(version) for version in definition["spec"]["versions"]}


@pytest.mark.parametrize(
    ("ours", "genuine"), [(crds.V0_6, "v0.6.0"), (crds.V0_8, "v0.8.0-alpha.5")]
)
def test_compact_definitions_equal_the_genuine_ones(ours: Path, genuine: str) -> None:
    directory = crds.GENUINE / genuine
    if not directory.is_dir():
        pytest.skip(f"no {directory}")
    for path in sorted(ours.glob("*.yaml")):
        (mine,) = crds.documents(path)
        (theirs,) = crds.documents(directory / path.name)
        assert mine["spec"]["names"] == theirs["spec"]["names"]
        assert mine["spec"]["scope"] == theirs["spec"]["scope"]
        assert mine["metadata"]["name"] == theirs["metadata"]["name"]
        assert versions(mine) == versions(theirs), path


def test_without_an_api_server_a_pod_template_takes_anything() -> None:
    (group,) = [
        one for one in crds.load(crds.V0_6) if one["spec"]["names"]["shortNames"] == ["rbg"]
    ]
    schema = group["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    role = schema["properties"]["spec"]["properties"]["roles"]["items"]["properties"]
    assert role["template"] == {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    assert crds.MARKER not in repr(group)


def test_a_directory_without_definitions_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        crds.load(tmp_path)


def test_the_directory_of_definitions_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RBG_CRDS", "/some/where")
    assert crds.release_dir() == Path("/some/where")
    monkeypatch.delenv("RBG_CRDS")
    assert crds.release_dir(crds.V0_6) == crds.V0_6
