# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""A real API server takes every golden manifest of every release, with strict validation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from capabilities import Api, from_crd
from group import build
from manifests.groupset import fold
from manifests.render import render
from rig import crds
from rig.controlplane import ControlPlane
from tests.shapes import APIS

GOLDEN = Path(__file__).parents[2] / "unit/golden"
# Each release with RBG's own definitions where they are at hand, and with our compact ones.
SETS = [(path.name, path) for path in crds.genuine()]
SETS += [("v0.6.0", crds.V0_6), ("v0.8.0-alpha.5", crds.V0_8)]
PLURALS = {"RoleBasedGroup": "rolebasedgroups", "RoleBasedGroupSet": "rolebasedgroupsets"}
STRICT = {"dryRun": "All", "fieldValidation": "Strict"}
PATHS = {
    "ServiceAccount": "/api/v1/namespaces/ml/serviceaccounts",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/ml/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/ml/rolebindings",
}


@pytest.fixture(scope="module")
def alone() -> Iterator[ControlPlane]:
    """A control plane of this file's own: it changes definitions that other tests live on."""
    with ControlPlane.start(lws=False) as cluster:
        cluster.api.post("/api/v1/namespaces", {"metadata": {"name": "ml"}})
        yield cluster


@pytest.fixture(
    params=SETS, ids=lambda s: f"{s[0]}-{'own' if s[1].parent == crds.HERE else 'rbg'}"
)
def release(alone: ControlPlane, request: pytest.FixtureRequest) -> Iterator[tuple[str, Any]]:
    """One set of definitions, installed."""
    name, directory = request.param
    alone.install_release(directory)
    yield name, alone
    alone.remove_crds()


def path_of(manifest: dict[str, Any]) -> str:
    if manifest["kind"] in PLURALS:
        return f"/apis/{manifest['apiVersion']}/namespaces/ml/{PLURALS[manifest['kind']]}"
    return PATHS[manifest["kind"]]


def test_every_golden_manifest_is_accepted_and_nothing_of_it_is_lost(release):
    name, cluster = release
    crd = cluster.api.get(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
        "rolebasedgroups.workloads.x-k8s.io"
    )
    assert str(from_crd(crd)) == APIS[name][0]
    files = sorted((GOLDEN / name).glob("*.yaml"))
    assert len(files) == len(APIS[name][1])
    for file in files:
        for manifest in yaml.safe_load_all(file.read_text()):
            cluster.api.post(path_of(manifest), manifest, **STRICT)
            if manifest["kind"] in PLURALS:
                stored = cluster.api.post(path_of(manifest), manifest)
                lost = missing(manifest["spec"], stored["spec"])
                assert not lost, f"{file}: {lost}"
                cluster.api.delete(f"{path_of(manifest)}/llama")


def missing(sent: Any, stored: Any, path: str = "spec") -> list[str]:
    """Paths of what was sent and is not stored."""
    if isinstance(sent, dict):
        if not isinstance(stored, dict):
            return [path]
        return [m for k, v in sent.items() for m in missing(v, stored.get(k), f"{path}.{k}")]
    if isinstance(sent, list):
        if not isinstance(stored, list) or len(stored) != len(sent):
            return [path]
        pairs = zip(sent, stored, strict=True)
        return [m for i, (a, b) in enumerate(pairs) for m in missing(a, b, f"{path}[{i}]")]
    return [] if sent == stored else [path]


def test_golden_files_are_what_is_rendered_today():
    """So that what is accepted here is what the charm applies."""
    for name, (text, shapes) in APIS.items():
        api = Api.parse(text)
        for shape, inputs in shapes.items():
            made = render(build(inputs(), api), api, "inputs")
            golden = list(yaml.safe_load_all((GOLDEN / name / f"{shape}.yaml").read_text()))
            assert golden[-1] == fold(made.group)
