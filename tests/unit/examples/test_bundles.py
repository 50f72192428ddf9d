# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The bundles fit the charms, and what comes out of them is a group without problems."""

import json

import pytest
import yaml

import config
import feedback
from capabilities import _V1ALPHA1, _V1ALPHA2, Api
from charms.rbg_k8s.v0.rbg_role import RoleState, read_role
from group import build
from inputs import Inputs, RelatedRole
from manifests.render import render
from report import Report
from rig.juju.bundle import read_bundle

from .conftest import EXAMPLES, SGLANG

ROOT = EXAMPLES.parent
CHARMS = {"rbg-k8s": ROOT, "sglang-k8s": SGLANG}
BUNDLES = sorted((EXAMPLES / "bundles").glob("*.yaml"))
APIS = [Api("v1alpha1", frozenset(_V1ALPHA1)), Api("v1alpha2", frozenset(_V1ALPHA2))]
TYPES = {"string": str, "int": int}


def load(path):
    return yaml.safe_load(path.read_text())


def test_there_are_three():
    names = ["engine-router", "prefill-decode-router", "single-engine"]
    assert [b.stem for b in BUNDLES] == names


@pytest.fixture(params=BUNDLES, ids=lambda b: b.stem)
def bundle(request):
    return request.param


def test_bundle_fits_the_charms(bundle):
    assert load(bundle)["bundle"] == "kubernetes"
    assert load(bundle)["name"] == bundle.stem
    apps, relations = read_bundle(bundle, CHARMS)
    assert [name for name, app in apps.items() if app.trust] == ["llama"]
    for app in apps.values():
        options = load(app.charm / "config.yaml")["options"]
        for name, value in app.options.items():
            assert type(value) is TYPES[options[name]["type"]], name
    for provider, requirer in relations:
        name, endpoint = provider.split(":")
        given = load(apps[name].charm / "charmcraft.yaml")["provides"][endpoint]
        name, endpoint = requirer.split(":")
        wanted = load(apps[name].charm / "charmcraft.yaml")["requires"][endpoint]
        assert given["interface"] == wanted["interface"] == "rbg_role"


def options_of(example, given):
    declared = load(SGLANG / "config.yaml")["options"]
    values = {name: option["default"] for name, option in declared.items()} | given
    return example.options.Options(**{k.replace("-", "_"): v for k, v in values.items()})


def group_of(example, bundle, api):
    """The group as both charms make it of the bundle: one answer, one publish."""
    apps, relations = read_bundle(bundle, CHARMS)
    roles = [(requirer.split(":")[1], provider.split(":")[0]) for provider, requirer in relations]
    silent = [RelatedRole(endpoint, i, app, {}) for i, (endpoint, app) in enumerate(roles)]
    said = Inputs("llama", "ml", apps["llama"].options, tuple(silent))
    settings, problems = config.load("llama", apps["llama"].options)
    assert not problems
    answers = feedback.states(
        said, Report(version=api.version), settings.settings.model_dump(mode="json")
    )
    spoken = []
    for role in silent:
        options = options_of(example, apps[role.application].options)
        spec = example.sglang.role_spec(
            options, RoleState.model_validate(answers[role.relation_id])
        )
        wire = {k: json.dumps(v) for k, v in spec.model_dump(mode="json").items()}
        assert read_role(wire) == spec
        spoken.append(RelatedRole(role.endpoint, role.relation_id, role.application, wire))
    return build(Inputs("llama", "ml", said.config, tuple(spoken)), api)


WORKLOADS = {
    "single-engine": {"engine": ("StatefulSet", 1)},
    "engine-router": {"engine": ("StatefulSet", 2), "router": ("StatefulSet", 1)},
    "prefill-decode-router": {
        "decoder": ("StatefulSet", 4),
        "engine": ("LeaderWorkerSet", 2),
        "router": ("StatefulSet", 1),
    },
}


def test_bundle_on_rbg_up_to_0_6(example, bundle):
    built = group_of(example, bundle, APIS[0])
    assert not built.problems, [str(p) for p in built.problems]
    made = render(built, APIS[0]).group["spec"]["roles"]
    assert {r["name"]: (r["workload"]["kind"], r["replicas"]) for r in made} == WORKLOADS[
        bundle.stem
    ]


def test_bundle_on_rbg_since_0_7(example, bundle):
    built = group_of(example, bundle, APIS[1])
    assert not built.problems, [str(p) for p in built.problems]
    made = render(built, APIS[1])
    several = {r["name"]: "leaderWorkerPattern" in r for r in made.group["spec"]["roles"]}
    assert several == {
        name: kind == "LeaderWorkerSet" for name, (kind, _) in WORKLOADS[bundle.stem].items()
    }
    accounts = [n["metadata"]["name"] for n in made.neighbours if n["kind"] == "ServiceAccount"]
    assert accounts == (["llama-router-discovery"] if "router" in several else [])


def test_router_of_the_last_bundle_selects_the_pods_that_the_group_labels(example):
    bundle = EXAMPLES / "bundles" / "prefill-decode-router.yaml"
    made = render(group_of(example, bundle, APIS[1]), APIS[1]).group["spec"]["roles"]
    roles = {r["name"]: r for r in made}
    router = roles["router"]["standalonePattern"]["template"]["spec"]["containers"][0]
    engine = roles["engine"]["leaderWorkerPattern"]
    labels = {
        "engine": {
            **engine["template"]["metadata"]["labels"],
            **engine["leaderTemplatePatch"]["metadata"]["labels"],
        },
        "decoder": roles["decoder"]["standalonePattern"]["template"]["metadata"]["labels"],
    }
    workers = engine["template"]["metadata"]["labels"].items()
    for flag, role in (("--prefill-selector", "engine"), ("--decode-selector", "decoder")):
        start = router["args"].index(flag) + 1
        selector = {tuple(pair.split("=")) for pair in router["args"][start : start + 3]}
        assert selector <= labels[role].items()
        assert not selector <= workers


def test_probes_reach_the_leader_only(example):
    bundle = EXAMPLES / "bundles" / "prefill-decode-router.yaml"
    made = render(group_of(example, bundle, APIS[1]), APIS[1]).group["spec"]["roles"]
    engine = next(r for r in made if r["name"] == "engine")["leaderWorkerPattern"]
    assert "readinessProbe" not in json.dumps(
        [engine["template"], engine.get("workerTemplatePatch")]
    )
    assert "readinessProbe" in json.dumps(engine["leaderTemplatePatch"])
