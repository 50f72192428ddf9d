# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The strict dry run: patches looked into, and answers turned into the interface's terms."""

import pytest

from capabilities import Api
from group import build
from manifests.render import render
from manifests.strict import Refusal, Trial
from tests.shapes import group, related, template

PATCH = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {
        "$retainKeys": ["containers"],
        "containers": [
            {"name": "serve", "image": "x", "ports": [{"$patch": "delete", "containerPort": 1}]},
            {"$patch": "delete", "name": "other", "image": "x"},
        ],
    },
}


def trial(version, **fields):
    multi = {"size": 2, "worker_patch": PATCH, **fields}
    inputs = group(
        related("engine", template=template(), multi_node=multi),
        related("decoder", template=template()),
    )
    api = Api(version)
    made = render(build(inputs, api), api)
    return Trial(made.group)


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
def test_patches_become_roles_behind_the_real_ones_without_directives(version):
    roles = trial(version).body["spec"]["roles"]
    assert [r["name"] for r in roles] == [
        "decoder",
        "engine",
        "engine-2",
        "engine-3",
    ]
    worker = roles[-1].get("template") or roles[-1]["standalonePattern"]["template"]
    assert worker == {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "serve", "image": "x", "ports": []}]},
    }
    leader = roles[-2].get("template") or roles[-2]["standalonePattern"]["template"]
    assert leader["spec"] == {"containers": []}


SPELLING = "unknown field; correct its spelling"


def test_unknown_fields():
    message = (
        'strict decoding error: unknown field "spec.roles[0].standalonePattern.template.spec.bo", '
        'unknown field "spec.roles[1].leaderWorkerPattern.template.spec.containers[0].imag", '
        'unknown field "spec.roles[3].standalonePattern.template.spec.nodes", '
        'unknown field "spec.bogus"'
    )
    assert trial("v1alpha2").unknown_fields(message) == [
        Refusal("decoder", "template.spec.bo", SPELLING),
        Refusal("engine", "template.spec.containers[0].imag", SPELLING),
        Refusal("engine", "multi_node.worker_patch.spec.nodes", SPELLING),
        Refusal("", "spec.bogus", SPELLING),
    ]


def test_another_strict_decoding_error_is_not_taken_for_none():
    [refusal] = trial("v1alpha2").unknown_fields('strict decoding error: duplicate field "x"')
    assert refusal == Refusal("", "the group", 'strict decoding error: duplicate field "x"')


def test_invalid_fields_of_a_patch_say_nothing():
    causes = [
        ("spec.roles[2].standalonePattern.template.spec.containers", "Required value"),
        ("spec.roles[0].replicas", "Invalid value: -1: spec.roles[0].replicas in body should be"),
        ("spec.roles[9].name", "unheard of"),
        ("<nil>", "some validation rules were not checked"),
    ]
    assert trial("v1alpha2").invalid_fields(causes) == [
        Refusal("decoder", "replicas", "Invalid value: -1: replicas in body should be"),
        Refusal("", "spec.roles[9].name", "unheard of"),
    ]


def test_the_original_is_left_alone():
    inputs = group(related("engine", template=template(), multi_node={"size": 2}))
    made = render(build(inputs, Api("v1alpha2")), Api("v1alpha2"))
    before = len(made.group["spec"]["roles"])
    Trial(made.group)
    assert len(made.group["spec"]["roles"]) == before


def test_templates_of_components_are_looked_into_too():
    parts = [{"name": "a", "template": template()}, {"name": "b", "template": template()}]
    inputs = group(related("engine", components=parts))
    api = Api.parse("v1alpha2 multi-component")
    made = Trial(render(build(inputs, api), api).group)
    assert [r["name"] for r in made.body["spec"]["roles"]] == ["engine", "engine-1", "engine-2"]
    message = 'unknown field "spec.roles[2].standalonePattern.template.spec.x"'
    assert made.unknown_fields(message) == [
        Refusal("engine", "components.b.template.spec.x", SPELLING)
    ]
