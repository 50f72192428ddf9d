# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""docs/rbg_role.md says what the schema says."""

import json
import re
from enum import Enum
from pathlib import Path
from typing import get_args

import ops
import pytest
import yaml
from ops import testing
from pydantic import BaseModel

from charms.rbg_k8s.v0 import rbg_role
from charms.rbg_k8s.v0.rbg_role import RoleSpec, RoleState, read_role
from names import GROUP_LABEL, LEADER_LABEL, MAX_GROUP_AND_ROLE, MAX_ROLE_NAME, ROLE_LABEL

PAGE = (Path(__file__).parents[3] / "docs" / "rbg_role.md").read_text()
BLOCKS = dict(re.findall(r"```(python|yaml)\n(.*?)```", PAGE, re.S))  # the last one of each
YAML = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)


def models():
    """Every model that can be said in either direction."""
    todo, found = [RoleSpec, RoleState], []
    while todo:
        model = todo.pop(0)
        if model not in found:
            found.append(model)
            for field in model.model_fields.values():
                todo += [t for t in _types(field.annotation) if issubclass(t, BaseModel)]
    return found


def _types(annotation):
    inner = [t for a in get_args(annotation) for t in _types(a)]
    return inner or ([annotation] if isinstance(annotation, type) else [])


def table(model):
    """Field → (type, default) as documented."""
    section = PAGE.split(f"### `{model.__name__}`\n", 1)[1].split("\n#", 1)[0]
    rows = [row.strip("|").split(" | ") for row in section.splitlines() if row.startswith("| `")]
    assert len({len(row) for row in rows}) == 1
    return {row[0].strip(" `"): (row[1], row[2]) for row in rows}


MODELS = models()


def test_the_models_are_found():
    assert {m.__name__ for m in MODELS} == {
        *("RoleSpec", "MultiNode", "Component", "Rollout", "RestartPolicy", "Port", "Metrics"),
        *("Scaling", "EngineRuntime", "RoleState", "PeerRole", "ModelSettings", "ModelStorage"),
    }


def test_every_section_is_a_model():
    assert re.findall(r"^### `(\w+)`", PAGE, re.M) == [
        m.__name__ for m in sorted(MODELS, key=lambda m: PAGE.index(f"### `{m.__name__}`"))
    ]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_every_field_in_order(model):
    assert list(table(model)) == list(model.model_fields)


def default(field):
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_defaults=True)
    return f"`{json.dumps(value)}`"


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_every_default(model):
    documented = {name: said for name, (_, said) in table(model).items()}
    assert documented == {name: default(f) for name, f in model.model_fields.items()}


KINDS = {
    "integer": "integer",
    "string": "string",
    "object": "object",
    "map": "object",
    "list": "array",
}


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_every_type(model):
    schema = model.model_json_schema()["properties"]
    for name, (said, _) in table(model).items():
        types = _types(model.model_fields[name].annotation)
        enums = [t for t in types if issubclass(t, Enum)]
        if enums:
            values = [json.dumps(e.value).strip('"') for e in enums[0]]
            assert said == ", ".join(f"`{v}`" for v in values), name
            continue
        named = [t.__name__ for t in types if issubclass(t, BaseModel)]
        assert re.findall(r"\[(\w+)\]", said) == named, name
        property_ = schema[name]
        kinds = {s.get("type") for s in property_.get("anyOf", [property_])} - {"null", None}
        word = said.split()[0].rstrip(",")
        if word in KINDS:
            assert KINDS[word] in kinds, name
        for word, key in (("≥0", 0), ("≥1", 1)):
            lower = [s.get("minimum") for s in property_.get("anyOf", [property_])]
            assert (word in said) == (key in lower and " to " not in said), name


def test_labels_and_limits():
    for label in (GROUP_LABEL, ROLE_LABEL, LEADER_LABEL):
        assert f"| `{label}` |" in PAGE
    assert f"| {rbg_role.MAX_ROLE_BYTES // 1024} KiB;" in PAGE
    assert f"| {rbg_role.MAX_DEPTH} levels |" in PAGE
    assert f"at most {MAX_ROLE_NAME} characters, and `<group>-<role>` at most" in PAGE
    assert f"`<group>-<role>` at most {MAX_GROUP_AND_ROLE} |" in PAGE


def test_databag_examples_are_what_the_library_writes():
    _, role, answer = (yaml.safe_load(block) for block in YAML)
    assert rbg_role._write(read_role(role)) == role
    assert rbg_role._write(rbg_role._read(RoleState, answer)) == answer


META = {"name": "engine", **yaml.safe_load(YAML[0])}


@pytest.fixture
def example():
    scope = {"__name__": "example"}
    exec(BLOCKS["python"], scope)
    return testing.Context(scope["EngineCharm"], meta=META, config={}, actions={})


def test_the_example_charm_publishes(example):
    answer = yaml.safe_load(YAML[2])
    relation = testing.Relation("role", remote_app_name="llama", remote_app_data=answer)
    state = testing.State(leader=True, relations=[relation])
    out = example.run(example.on.relation_changed(relation), state)
    spec = read_role(out.get_relation(relation.id).local_app_data)
    container = spec.template["spec"]["containers"][0]
    assert container["args"][:2] == ["--model-path", "Qwen/Qwen3-8B"]
    assert spec.replicas == 2
    assert out.unit_status == testing.ActiveStatus("1/1 ready")


@pytest.mark.parametrize(
    ("relations", "expected"),
    [
        ([], ops.BlockedStatus("not related to a group")),
        ([testing.Relation("role")], ops.WaitingStatus("waiting for the group to answer")),
    ],
)
def test_the_example_charm_says_what_it_waits_for(example, relations, expected):
    state = testing.State(leader=True, relations=relations)
    out = example.run(example.on.config_changed(), state)
    assert out.unit_status == expected
