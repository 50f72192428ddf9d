# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Golden manifests: every shape on every RBG release. A changed byte restarts GPUs."""

import json
from pathlib import Path

import pytest
import yaml

from capabilities import Api, from_crd
from group import build
from holds import Holds
from manifests.groupset import fold
from manifests.render import render
from tests.shapes import APIS, engine_and_router, group, related, single_engine, template

GOLDEN = Path(__file__).parent / "golden"
CASES = [(release, shape) for release, (_, shapes) in APIS.items() for shape in shapes]


def rendered(inputs, api, live=()):
    built = build(inputs, api, live)
    assert not built.problems, [str(p) for p in built.problems]
    made = render(built, api, "inputs")
    assert made is not None
    return made


@pytest.mark.parametrize(("release", "shape"), CASES)
def test_golden(release, shape, update_golden):
    text, shapes = APIS[release]
    made = rendered(shapes[shape](), Api.parse(text))
    dumped = yaml.safe_dump_all([*made.neighbours, fold(made.group)], sort_keys=False, width=99)
    file = GOLDEN / release / f"{shape}.yaml"
    if update_golden:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dumped)
    assert dumped == file.read_text()


def test_every_golden_file_is_checked():
    files = {str(f.relative_to(GOLDEN).with_suffix("")) for f in GOLDEN.rglob("*.yaml")}
    # with_suffix cuts at the last dot only, which the release's own dots never are
    assert files == {f"{release}/{shape}" for release, shape in CASES}


@pytest.mark.parametrize("release", APIS)
def test_the_api_of_a_release_is_what_its_crd_says(release, shared):
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    crd = yaml.load((shared / f"rbg-crds/{release}/rolebasedgroups.yaml").read_text(), loader)
    assert str(from_crd(crd)) == APIS[release][0]


def by_name(made):
    return {r["name"]: r for r in made.group["spec"]["roles"]}


@pytest.mark.parametrize(
    ("endpoint", "pods", "version", "expected"),
    [
        ("engine", 1, "v1alpha1", "StatefulSet"),
        ("engine", 2, "v1alpha1", "LeaderWorkerSet"),
        ("decoder", 1, "v1alpha1", "StatefulSet"),
        ("decoder", 2, "v1alpha1", "LeaderWorkerSet"),
        ("router", 1, "v1alpha1", "StatefulSet"),
        ("engine", 1, "v1alpha2", "standalonePattern"),
        ("engine", 2, "v1alpha2", "leaderWorkerPattern"),
        ("decoder", 1, "v1alpha2", "standalonePattern"),
        ("decoder", 2, "v1alpha2", "leaderWorkerPattern"),
        ("router", 1, "v1alpha2", "standalonePattern"),
    ],
)
def test_the_five_rows_of_omes_mapping(endpoint, pods, version, expected):
    more = {"multi_node": {"size": pods}} if pods > 1 else {}
    role = by_name(rendered(group(related(endpoint, template=template(), **more)), Api(version)))
    role = role[endpoint]
    if version == "v1alpha1":
        assert role["workload"]["kind"] == expected
    else:
        patterns = {k for k in role if k.endswith("Pattern")}
        assert patterns == {expected}


def test_same_inputs_same_bytes_whatever_their_order():
    one = engine_and_router()
    other = group(*reversed(one.roles))
    api = Api("v1alpha2")
    assert json.dumps(rendered(one, api).group) == json.dumps(rendered(other, api).group)


def test_a_changed_template_changes_the_pods_digest_and_a_changed_count_does_not():
    api = Api("v1alpha2")

    def stamp(**fields):
        role = by_name(rendered(group(related("engine", **fields)), api))["engine"]
        pod = role["standalonePattern"]["template"]["metadata"]
        return pod["annotations"]["rbg-k8s.charm/template-digest"]

    first = stamp(template=template())
    assert stamp(template=template(), replicas=7) == first
    assert stamp(template=template("example.test/engine:2")) != first
    assert stamp(template=template(), engine_runtimes=[{"profile": "patio"}]) != first


def test_a_changed_size_changes_the_pods_digest():
    def stamp(size):
        inputs = group(related("engine", template=template(), multi_node={"size": size}))
        role = by_name(rendered(inputs, Api("v1alpha2")))["engine"]
        return role["leaderWorkerPattern"]["template"]["metadata"]["annotations"]

    assert stamp(2) != stamp(4)


def test_a_held_count_is_rendered():
    inputs = group(
        related("engine", template=template(), replicas=2), holds=Holds(replicas={"engine": 5})
    )
    assert by_name(rendered(inputs, Api("v1alpha2")))["engine"]["replicas"] == 5


def test_a_variable_of_the_roles_own_is_not_said_twice():
    inputs = group(
        related("engine", template=template(env=[{"name": "GROUP_SIZE", "value": "8"}]))
    )
    role = by_name(rendered(inputs, Api("v1alpha2")))["engine"]
    env = role["standalonePattern"]["template"]["spec"]["containers"][0]["env"]
    names = [e["name"] for e in env]
    assert names == ["GROUP_NAME", "ROLE_NAME", "LEADER_ADDRESS", "WORKER_INDEX", "GROUP_SIZE"]
    assert env[-1]["value"] == "8"


def test_a_container_of_a_patch_gets_the_environment_too():
    patch = {"spec": {"containers": [{"name": "extra", "image": "example.test/extra:1"}]}}
    inputs = group(
        related("engine", template=template(), multi_node={"size": 2, "worker_patch": patch})
    )
    role = by_name(rendered(inputs, Api("v1alpha2")))["engine"]
    extra = role["leaderWorkerPattern"]["workerTemplatePatch"]["spec"]["containers"][0]
    assert {"name": "GROUP_SIZE", "value": "$(RBG_LWP_GROUP_SIZE)"} in extra["env"]


def test_nulls_in_a_template_are_left_out():
    inputs = group(related("engine", template=template(command=None)))
    role = by_name(rendered(inputs, Api("v1alpha2")))["engine"]
    assert "command" not in role["standalonePattern"]["template"]["spec"]["containers"][0]


def test_delays_are_left_out_where_rbg_has_none():
    policy = {"type": "None", "base_delay_seconds": 5}
    inputs = group(
        related("engine", template=template(), multi_node={"size": 2, "restart_policy": policy})
    )
    old = by_name(rendered(inputs, Api("v1alpha2")))["engine"]["leaderWorkerPattern"]
    new = rendered(inputs, Api("v1alpha2", frozenset({"restart-delays"})))
    assert old["restartPolicy"] == "None" and "restartPolicyConfig" not in old
    assert by_name(new)["engine"]["leaderWorkerPattern"]["restartPolicyConfig"] == {
        "type": "None",
        "baseDelaySeconds": 5,
    }


LEGACY = {
    "name": "engine",
    "replicas": 2,
    "annotations": {"rbg.workloads.x-k8s.io/role-workload-type": "apps/v1/StatefulSet"},
}


def test_a_role_that_runs_on_a_statefulset_stays_there_when_rbg_is_upgraded():
    role = by_name(rendered(single_engine(), Api("v1alpha2"), [LEGACY]))["engine"]
    assert role["annotations"] == LEGACY["annotations"]
    assert "standalonePattern" in role


def test_its_pod_template_is_the_same_in_both_api_versions():
    old = by_name(rendered(single_engine(), Api("v1alpha1")))["engine"]["template"]
    new = by_name(rendered(single_engine(), Api("v1alpha2"), [LEGACY]))["engine"]
    assert new["standalonePattern"]["template"] == old


def test_no_role_no_manifest():
    assert render(build(group(), Api("v1alpha2")), Api("v1alpha2")) is None
