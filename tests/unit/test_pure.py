# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The small pure modules: tree, inputs, capabilities, ownership, config."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import config
import faults
from capabilities import Api, from_crd
from charms.rbg_k8s.v0.rbg_role import ModelSettings, ModelStorage
from faults import Fault
from holds import Holds
from inputs import digest
from ownership import applied_digests, check_ours, counts_taken, edited_by_others, is_held_by
from tests.shapes import group, related, template
from tests.unit.stub import crd
from tree import annotation, branch, entries, leaf, number, text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.lists(st.text(), max_size=3))
def test_reading_any_json_never_fails(tree, path):
    leaf(tree, *path)
    assert isinstance(branch(tree, *path), dict)
    assert isinstance(entries(tree, *path), list)
    assert isinstance(text(tree, *path), str)
    assert isinstance(number(tree, *path), int)


def test_reading():
    tree = {"metadata": {"annotations": {"a": "b"}, "generation": 3}, "items": [1], "no": None}
    assert annotation(tree, "a") == "b"
    assert number(tree, "metadata", "generation") == 3
    assert number(tree, "metadata", "other", default=7) == 7
    assert entries(tree, "items") == [1]
    assert branch(tree, "no") == {} and branch(None, "x") == {}


def test_the_fingerprint_follows_every_part_of_the_inputs():
    base = group(related("engine", template=template()))
    others = [
        group(related("engine", template=template("x:2"))),
        group(related("engine", "other", template=template())),
        group(related("engine", "prefill", 99, template=template())),
        group(related("decoder", template=template())),
        group(related("engine", template=template()), holds=Holds(replicas={"engine": 1})),
        group(related("engine", template=template()), model="m"),
    ]
    prints = {i.fingerprint for i in (base, *others)}
    assert len(prints) == 7
    assert group(related("engine", template=template())).fingerprint == base.fingerprint


def test_the_fingerprint_follows_the_charms_own_code(monkeypatch):
    import inputs

    before = group().fingerprint
    monkeypatch.setattr(inputs, "_code_digest", lambda: "another charm")
    assert group().fingerprint != before


@given(st.dictionaries(st.text(), st.integers()))
def test_a_digest_does_not_depend_on_the_order_of_keys(value):
    assert digest(value) == digest(dict(reversed(value.items())))


# --- capabilities ------------------------------------------------------------------------------


def test_the_newest_served_version_is_taken():
    both = crd("v1alpha2", "scalingAdapter")
    both["spec"]["versions"] += crd("v1alpha1")["spec"]["versions"]
    assert from_crd(both) == Api("v1alpha2", frozenset({"scaling-adapter"}))
    both["spec"]["versions"][0]["served"] = False
    assert from_crd(both) == Api("v1alpha1")


def test_a_version_of_the_future_is_none_of_ours():
    assert from_crd(crd("v1beta1")) is None


@given(
    st.sampled_from(["v1alpha1", "v1alpha2"]),
    st.sets(st.sampled_from(["partition", "role-metadata"])),
)
def test_an_api_reads_back_what_it_writes(version, features):
    api = Api(version, frozenset(features))
    assert Api.parse(str(api)) == api


def test_anything_else_is_no_api():
    assert Api.parse("") is None and Api.parse("v9 x") is None


def test_services_are_prefixed_from_0_5_on():
    assert not Api("v1alpha1").prefixed_services
    assert Api("v1alpha1", frozenset({"role-metadata"})).prefixed_services
    assert Api("v1alpha2").prefixed_services


# --- ownership ---------------------------------------------------------------------------------


def live(owner="StatefulSet", label="llama", **more):
    return {
        "metadata": {
            "name": "llama",
            "labels": {"rbg-k8s.charm/application": label},
            "ownerReferences": [{"kind": owner, "name": "llama"}],
            **more,
        },
        "spec": {"roles": [{"name": "scaled", "scalingAdapter": {"enable": True}}]},
    }


def others(role, *fields, manager="rolebasedgroupscalingadapter"):
    owned = {f'k:{{"name":"{role}"}}': {f"f:{name}": {} for name in fields}}
    return {"manager": manager, "fieldsV1": {"f:spec": {"f:roles": owned}}}


def test_ours():
    check_ours(live())


@pytest.mark.parametrize("foreign", [live(owner="RoleBasedGroupSet"), live(label="other")])
def test_not_ours(foreign):
    with pytest.raises(Fault, match="someone else's"):
        check_ours(foreign)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"manager": "rbg-k8s", "fieldsV1": {"f:spec": {}}}, False),
        (others("scaled", "replicas"), False),
        (others("scaled", "replicas", manager="manager"), False),  # RBG 0.6 and 0.7
        (others("scaled", "replicas", "standalonePattern"), False),
        (others("scaled", "replicas", "standalonePattern", manager="kubectl-edit"), True),
        (others("fixed", "replicas"), True),
        ({"manager": "rbg", "subresource": "status", "fieldsV1": {"f:spec": {}}}, False),
        ({"manager": "rolebasedgroup", "fieldsV1": {"f:metadata": {}}}, False),
        ({"manager": "kubectl-edit", "fieldsV1": {"f:spec": {}}}, True),
    ],
)
def test_edited_by_others(entry, expected):
    assert edited_by_others(live(managedFields=[entry])) is expected


def test_counts_taken_by_the_adapter():
    fields = [others("scaled", "replicas"), others("fixed", "replicas")]
    assert counts_taken(live(managedFields=fields)) == {"scaled"}
    assert counts_taken(live(managedFields=[others("scaled", "name")])) == set()
    assert counts_taken(None) == set()


def applied(spec, stamp="x", version="v1alpha2"):
    return {
        "apiVersion": f"workloads.x-k8s.io/{version}",
        "metadata": {"annotations": {"rbg-k8s.charm/applied": json.dumps({"a": stamp})}},
        "spec": {"roles": spec},
    }


A = {"name": "a", "replicas": 1, "args": ["x", "y"]}
B = {"name": "b", "replicas": 1}


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (applied([A, B]), True),
        (applied([B, A]), True),
        (applied([{**A, "minReadySeconds": 0}, B]), True),
        (applied([{**A, "replicas": 2}, B]), False),
        (applied([{**A, "args": ["x"]}, B]), False),
        (applied([{**A, "args": "xy"}, B]), False),
        (applied([{"name": "a", "args": ["x", "y"]}, B]), False),
        (applied([A, B, {"name": "c"}]), False),
        (applied([A]), False),
        (applied([A, {**B, "name": "c"}]), False),
        (applied([A, B], stamp="y"), False),
        (applied([A, B], version="v1alpha1"), False),
    ],
)
def test_holds(there, expected):
    assert is_held_by(there, applied([A, B])) is expected


@pytest.mark.parametrize("stamp", ["", "{", "[]", "old"])
def test_digests_that_cannot_be_read_are_none(stamp):
    assert applied_digests({"metadata": {"annotations": {"rbg-k8s.charm/applied": stamp}}}) == {}


# --- config and faults -------------------------------------------------------------------------


def test_config():
    options = {"model": "m", "served-model-name": "s", "model-storage": "llm:/models"}
    found, problems = config.load("llama", options)
    assert problems == []
    assert found.settings == ModelSettings(
        name="m", served_name="s", storage=ModelStorage(claim="llm", mount_path="/models")
    )


@pytest.mark.parametrize("value", ["claim", ":/models", "claim:models", "claim:"])
def test_storage_that_is_none(value):
    _, problems = config.load("llama", {"model-storage": value})
    assert [str(p) for p in problems] == [
        "llama: config model-storage: must be <claim>:<mount path>, e.g. llm-models:/models"
    ]


@given(st.integers(400, 599), st.text())
def test_every_answer_becomes_one_line(code, message):
    assert "\n" not in faults.from_status(code, message).message


def test_no_answer_at_all():
    assert str(faults.unreachable("")) == "waiting for the Kubernetes API server: no answer"
