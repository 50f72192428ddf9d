# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The `rbg_role` schema and both ends of the interface."""

import json

import ops
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ops import testing
from pydantic import ValidationError

from charms.rbg_k8s.v0 import rbg_role
from charms.rbg_k8s.v0.rbg_role import (
    Component,
    EngineRuntime,
    Metrics,
    ModelSettings,
    ModelStorage,
    MultiNode,
    PeerRole,
    PodManagement,
    Port,
    RestartPolicy,
    RestartType,
    RoleDataError,
    RoleProvider,
    RoleRequirer,
    RoleSpec,
    RoleState,
    RoleStatus,
    Rollout,
    Scaling,
    ServiceSelects,
    UpdateType,
    Workload,
    read_role,
    serving_pod,
)

TEMPLATE = {"spec": {"containers": [{"name": "serve", "image": "i"}]}}
ENUM = "is not valid: input should be"
NAME = "string should match pattern '^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$'"
COMPONENT_NAME = "string should match pattern '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$'"
PERCENT = "is not valid: string should match pattern '^(100|[1-9]?[0-9])%$'"
AT_LEAST = "is not valid: input should be greater than or equal to"
AT_MOST = "is not valid: input should be less than or equal to"
INTEGER = "Input should be a valid integer"
NO_CONTAINER = "template: spec.containers must name at least one container"
RESTARTS = "'None', 'RecreateRoleInstanceOnPodRestart' or 'RecreateRBGOnPodRestart'"


def bag(**fields):
    """A databag with a template and these fields."""
    return {k: json.dumps(v) for k, v in {"template": TEMPLATE, **fields}.items()}


# --- what can be said ------------------------------------------------------------------------

WHOLE = RoleSpec(
    template=TEMPLATE,
    replicas=3,
    multi_node=MultiNode(
        size=2,
        leader_patch={"spec": {}},
        worker_patch={"metadata": {"labels": {"a": "b"}}},
        service_selects=ServiceSelects.LEADER_ONLY,
        restart_policy=RestartPolicy(
            type=RestartType.RECREATE_INSTANCE, base_delay_seconds=1, max_delay_seconds=2
        ),
    ),
    workload=Workload.LEADER_WORKER_SET,
    start_after=["store"],
    rollout=Rollout(
        type=UpdateType.IN_PLACE_ONLY, max_unavailable="25%", max_surge=1, partition=2
    ),
    scaling=Scaling(min=1, max=4, metrics=[{"type": "Resource"}], behaviour={"scaleDown": {}}),
    ports=[Port(name="http", port=8000), Port(name="kv", port=9000, protocol="UDP")],
    metrics=Metrics(port=9090, path="/m"),
    discovers=["engine"],
    engine_runtimes=[EngineRuntime(profile="patio", containers=[{"name": "x", "args": ["y"]}])],
    min_ready_seconds=5,
    pod_management=PodManagement.PARALLEL,
    labels={"l": "1"},
    annotations={"a": "2"},
)
COMPONENTS = RoleSpec(
    components=[
        Component(
            name="leader",
            size=2,
            template=TEMPLATE,
            service_name="svc",
            labels={"l": "1"},
            annotations={"a": "2"},
        ),
        Component(name="worker", template=TEMPLATE),
    ],
    restart_policy=RestartPolicy(type=RestartType.NONE),
)
STATE = RoleState(
    group="llama",
    namespace="ml",
    role="engine",
    endpoint="engine",
    api_version="workloads.x-k8s.io/v1alpha2",
    desired=2,
    ready=1,
    updated=2,
    state=RoleStatus.UPDATING,
    reason="updating",
    host="s-llama-engine.ml.svc",
    ports=[Port(name="http", port=8000)],
    roles=[
        PeerRole(
            role="router",
            host="h",
            ports=[Port(name="http", port=1)],
            selector={"a": "b"},
            leader_selector={"a": "b", "c": "d"},
        )
    ],
    model=ModelSettings(name="m", served_name="s", storage=ModelStorage(claim="c")),
)


@pytest.mark.parametrize("spec", [WHOLE, COMPONENTS, RoleSpec(template=TEMPLATE)])
def test_round_trip(spec):
    assert read_role(rbg_role._write(spec)) == spec


def test_round_trip_of_the_state():
    assert rbg_role._read(RoleState, rbg_role._write(STATE)) == STATE


def test_the_round_trip_covers_every_field():
    said = set(rbg_role._write(WHOLE)) | set(rbg_role._write(COMPONENTS))
    assert said == set(RoleSpec.model_fields)
    assert set(rbg_role._write(STATE)) == set(RoleState.model_fields)


def test_only_what_differs_from_the_default_is_written():
    assert rbg_role._write(RoleSpec(template=TEMPLATE, replicas=1)) == {
        "template": '{"spec":{"containers":[{"image":"i","name":"serve"}]}}'
    }


def test_the_same_value_gives_the_same_bytes():
    one = RoleSpec(template=TEMPLATE, labels={"a": "1", "b": "2"})
    other = RoleSpec(labels={"b": "2", "a": "1"}, template=TEMPLATE)
    assert rbg_role._write(one) == rbg_role._write(other)


def test_unknown_keys_are_tolerated():
    spec = read_role({**bag(rollout={"new": 1}, ports=[]), "brand-new": "not JSON"})
    assert spec == RoleSpec(template=TEMPLATE)


_names = st.from_regex(r"\A[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?\Z")
_text = st.text(max_size=5)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)
_objects = st.dictionaries(_text, _json, max_size=3)
_strings = st.dictionaries(_text, _text, max_size=3)
_amounts = st.none() | st.integers(0, 99) | st.integers(0, 100).map(lambda n: f"{n}%")
_ports = st.builds(
    Port,
    name=_names,
    port=st.integers(1, 65535),
    protocol=st.sampled_from(["TCP", "UDP", "SCTP"]),
)
_restarts = st.builds(
    RestartPolicy,
    type=st.sampled_from(RestartType),
    base_delay_seconds=st.none() | st.integers(0, 30),
    max_delay_seconds=st.none() | st.integers(30, 900),
)
_templates = _objects.map(lambda extra: {**extra, **TEMPLATE})
_specs = st.builds(
    RoleSpec,
    template=_templates,
    replicas=st.integers(0, 2**31),
    components=st.just([]),
    restart_policy=st.none(),
    multi_node=st.none()
    | st.builds(
        MultiNode,
        size=st.integers(1, 9),
        leader_patch=_objects,
        worker_patch=_objects,
        service_selects=st.none() | st.sampled_from(ServiceSelects),
        restart_policy=st.none() | _restarts,
    ),
    workload=st.sampled_from(Workload),
    start_after=st.lists(_text, max_size=2),
    rollout=st.builds(
        Rollout,
        type=st.sampled_from(UpdateType),
        max_unavailable=_amounts,
        max_surge=_amounts,
        partition=_amounts,
    ),
    scaling=st.none()
    | st.builds(
        Scaling,
        min=st.integers(0, 3),
        max=st.integers(3, 9),
        metrics=st.lists(_objects, max_size=2),
        behaviour=_objects,
    ),
    ports=st.lists(_ports, max_size=2),
    metrics=st.none() | st.builds(Metrics, port=st.integers(1, 65535), path=st.just("/m")),
    discovers=st.lists(_text, max_size=2),
    engine_runtimes=st.lists(
        st.builds(EngineRuntime, profile=_names, containers=st.lists(_objects, max_size=2)),
        max_size=2,
    ),
    min_ready_seconds=st.integers(0, 99),
    pod_management=st.none() | st.sampled_from(PodManagement),
    labels=_strings,
    annotations=_strings,
)
_lenient = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@_lenient
@given(_specs)
def test_whatever_can_be_said_comes_back(spec):
    written = rbg_role._write(spec)
    assert read_role(written) == spec
    assert rbg_role._write(read_role(written)) == written


@_lenient
@given(st.dictionaries(st.sampled_from(sorted(RoleSpec.model_fields)), _json | _text, max_size=4))
def test_whatever_is_in_the_databag_ends_in_a_role_or_one_line(fields):
    values = {k: v if isinstance(v, str) else json.dumps(v) for k, v in fields.items()}
    try:
        read_role(values)
    except RoleDataError as e:
        assert e.reason and "\n" not in str(e) and str(e).isprintable()


# --- what cannot be said ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "where", "reason"),
    [
        ("template", None, "", "template is missing"),
        ("template", [], "template", "Input should be a valid dictionary"),
        ("template", {}, "", NO_CONTAINER),
        ("template", {"spec": []}, "", NO_CONTAINER),
        ("template", {"spec": {"containers": []}}, "", NO_CONTAINER),
        ("template", {"spec": {"containers": {}}}, "", NO_CONTAINER),
        ("template", {"spec": {"containers": [1]}}, "", NO_CONTAINER),
        ("template", {"spec": {"containers": [{"name": 1}]}}, "", NO_CONTAINER),
        ("template", {"spec": {"containers": [{}]}}, "", NO_CONTAINER),
        ("replicas", -1, "replicas", f"-1 {AT_LEAST} 0"),
        ("replicas", None, "replicas", INTEGER),
        ("replicas", 1.5, "replicas", f"{INTEGER}, got a number with a fractional part"),
        (
            "replicas",
            "many",
            "replicas",
            f"{INTEGER}, unable to parse string as an integer",
        ),
        (
            "multi_node",
            [],
            "multi_node",
            "Input should be a valid dictionary or instance of MultiNode",
        ),
        ("multi_node", {}, "multi_node.size", "Field required"),
        ("multi_node", {"size": 0}, "multi_node.size", f"0 {AT_LEAST} 1"),
        (
            "multi_node",
            {"size": 2, "leader_patch": 1},
            "multi_node.leader_patch",
            "Input should be a valid dictionary",
        ),
        (
            "multi_node",
            {"size": 2, "worker_patch": []},
            "multi_node.worker_patch",
            "Input should be a valid dictionary",
        ),
        (
            "multi_node",
            {"size": 2, "service_selects": "Some"},
            "multi_node.service_selects",
            f"\"Some\" {ENUM} 'All' or 'LeaderOnly'",
        ),
        (
            "multi_node",
            {"size": 2, "restart_policy": {"type": "Never"}},
            "multi_node.restart_policy.type",
            f'"Never" {ENUM} {RESTARTS}',
        ),
        (
            "multi_node",
            {"size": 2, "restart_policy": {"type": "None", "base_delay_seconds": 601}},
            "multi_node.restart_policy",
            "max_delay_seconds must not be less than base_delay_seconds",
        ),
        ("components", {}, "components", "Input should be a valid list"),
        (
            "components",
            [{"name": "a", "template": TEMPLATE}],
            "",
            "components stand alone: leave out template and multi_node",
        ),
        (
            "workload",
            "Job",
            "workload",
            f"\"Job\" {ENUM} 'auto', 'StatefulSet', 'Deployment', 'LeaderWorkerSet' or "
            "'RoleInstanceSet'",
        ),
        ("start_after", "engine", "start_after", "Input should be a valid list"),
        ("start_after", [1], "start_after.0", "Input should be a valid string"),
        ("rollout", [], "rollout", "Input should be a valid dictionary or instance of Rollout"),
        (
            "rollout",
            {"type": "Recreate"},
            "rollout.type",
            f"\"Recreate\" {ENUM} 'auto', 'RecreatePod', 'InPlaceIfPossible' or 'InPlaceOnly'",
        ),
        ("rollout", {"max_unavailable": -1}, "rollout.max_unavailable", f"-1 {AT_LEAST} 0"),
        ("rollout", {"max_unavailable": "101%"}, "rollout.max_unavailable", f'"101%" {PERCENT}'),
        ("rollout", {"max_surge": "some"}, "rollout.max_surge", f'"some" {PERCENT}'),
        (
            "rollout",
            {"partition": 0.5},
            "rollout.partition",
            f"{INTEGER}, got a number with a fractional part",
        ),
        ("restart_policy", {}, "restart_policy.type", "Field required"),
        (
            "restart_policy",
            {"type": "None", "max_delay_seconds": -1},
            "restart_policy.max_delay_seconds",
            f"-1 {AT_LEAST} 0",
        ),
        (
            "restart_policy",
            {"type": "None", "max_delay_seconds": 29},
            "restart_policy",
            "max_delay_seconds must not be less than base_delay_seconds",
        ),
        ("scaling", {"max": 1}, "scaling.min", "Field required"),
        ("scaling", {"min": -1, "max": 1}, "scaling.min", f"-1 {AT_LEAST} 0"),
        ("scaling", {"min": 0, "max": 0}, "scaling.max", f"0 {AT_LEAST} 1"),
        ("scaling", {"min": 3, "max": 2}, "scaling", "min must not be more than max"),
        (
            "scaling",
            {"min": 1, "max": 2, "metrics": [1]},
            "scaling.metrics.0",
            "Input should be a valid dictionary",
        ),
        ("ports", [{"port": 1}], "ports.0.name", "Field required"),
        ("ports", [{"name": "HTTP", "port": 1}], "ports.0.name", f'"HTTP" is not valid: {NAME}'),
        ("ports", [{"name": "http", "port": 0}], "ports.0.port", f"0 {AT_LEAST} 1"),
        ("ports", [{"name": "http", "port": 65536}], "ports.0.port", f"65536 {AT_MOST} 65535"),
        (
            "ports",
            [{"name": "http", "port": 1, "protocol": "tcp"}],
            "ports.0.protocol",
            "\"tcp\" is not valid: string should match pattern '^(TCP|UDP|SCTP)$'",
        ),
        ("metrics", {"path": "/"}, "metrics.port", "Field required"),
        ("metrics", {"port": 70000}, "metrics.port", f"70000 {AT_MOST} 65535"),
        (
            "metrics",
            {"port": 1, "path": "m"},
            "metrics.path",
            "\"m\" is not valid: string should match pattern '^/'",
        ),
        ("discovers", {}, "discovers", "Input should be a valid list"),
        (
            "engine_runtimes",
            [{"profile": ""}],
            "engine_runtimes.0.profile",
            "String should have at least 1 character",
        ),
        (
            "engine_runtimes",
            [{"profile": "p", "containers": {}}],
            "engine_runtimes.0.containers",
            "Input should be a valid list",
        ),
        ("min_ready_seconds", -1, "min_ready_seconds", f"-1 {AT_LEAST} 0"),
        (
            "pod_management",
            "Random",
            "pod_management",
            f"\"Random\" {ENUM} 'OrderedReady' or 'Parallel'",
        ),
        ("labels", {"a": 1}, "labels.a", "Input should be a valid string"),
        ("labels", {"a\nb": 1}, 'labels."a\\nb"', "Input should be a valid string"),
        (
            "labels",
            {"x" * 200: 1},
            f'labels."{"x" * 39}',
            "Input should be a valid string",
        ),
        ("annotations", [], "annotations", "Input should be a valid dictionary"),
        ("replicas", "x" * 300_000, "replicas", "is larger than 256 KiB"),
        ("template", {"spec": "x" * 2**20}, "template", "is larger than 256 KiB"),
    ],
)
def test_invalid(field, value, where, reason):
    with pytest.raises(RoleDataError) as e:
        read_role(bag(**{field: value}))
    assert (e.value.field, e.value.reason) == (where, reason)
    assert str(e.value) == (f"{where}: {reason}" if where else reason)


def test_every_field_has_an_invalid_value():
    cases = test_invalid.pytestmark[0].args[1]
    assert {field for field, *_ in cases} == set(RoleSpec.model_fields)


def component(**changed):
    return {"name": "a", "template": TEMPLATE, **changed}


@pytest.mark.parametrize(
    ("components", "where", "reason"),
    [
        ([component(name="A")], "components.0.name", f'"A" is not valid: {COMPONENT_NAME}'),
        ([component(size=-1)], "components.0.size", f"-1 {AT_LEAST} 0"),
        ([{"name": "a"}], "components.0.template", "Field required"),
        (
            [component(service_name=1)],
            "components.0.service_name",
            "Input should be a valid string",
        ),
        ([component(labels=1)], "components.0.labels", "Input should be a valid dictionary"),
        (
            [component(annotations=1)],
            "components.0.annotations",
            "Input should be a valid dictionary",
        ),
        ([component(), component()], "", "components: every name must be used once only"),
        (
            [component(template={})],
            "",
            "components.a.template: spec.containers must name at least one container",
        ),
    ],
)
def test_invalid_components(components, where, reason):
    with pytest.raises(RoleDataError) as e:
        read_role({"components": json.dumps(components)})
    assert (e.value.field, e.value.reason) == (where, reason)


@pytest.mark.parametrize(
    "text", ["", "{", "engine", "NaN", "[Infinity]", '{"a": [1e999]}', "[" * 200_000]
)
def test_not_json(text):
    with pytest.raises(RoleDataError) as e:
        read_role({"template": text})
    assert (e.value.field, e.value.reason) == ("template", "is not JSON")


@pytest.mark.parametrize("levels", [65, 900])
def test_nested_too_deep(levels):
    with pytest.raises(RoleDataError) as e:
        read_role({"labels": "[" * (levels + 1) + "]" * (levels + 1)})
    assert (e.value.field, e.value.reason) == ("labels", "is nested deeper than 64 levels")


def test_nested_just_deep_enough():
    deep = {"x": json.loads("[" * 62 + "]" * 62), **TEMPLATE}
    assert read_role({"template": json.dumps(deep)}).template == deep


def test_as_large_as_allowed():
    empty = len(json.dumps({**TEMPLATE, "x": ""}))
    text = json.dumps({**TEMPLATE, "x": "y" * (256 * 1024 - empty)})
    assert len(text) == 256 * 1024
    assert read_role({"template": text}).template["x"].startswith("y")
    with pytest.raises(RoleDataError):
        read_role({"template": text + " "})


def test_nothing_said():
    with pytest.raises(RoleDataError, match=r"^template is missing$"):
        read_role({})


def test_restart_policy_belongs_into_multi_node():
    with pytest.raises(RoleDataError, match=r"^restart_policy: belongs into multi_node here$"):
        read_role(bag(multi_node={"size": 2}, restart_policy={"type": "None"}))


@pytest.mark.parametrize(("low", "high"), [(None, None), (600, None), (None, 30), (5, 5), (0, 0)])
def test_delays_in_order(low, high):
    RestartPolicy(type=RestartType.NONE, base_delay_seconds=low, max_delay_seconds=high)


@pytest.mark.parametrize(("low", "high"), [(601, None), (None, 29), (6, 5)])
def test_delays_out_of_order(low, high):
    with pytest.raises(ValidationError):
        RestartPolicy(type=RestartType.NONE, base_delay_seconds=low, max_delay_seconds=high)


def test_a_role_charm_that_says_nonsense_is_stopped_at_once():
    with pytest.raises(ValidationError):
        RoleSpec(template=TEMPLATE, replicas=-1)
    with pytest.raises(ValidationError):
        RoleSpec()


def test_peer():
    assert STATE.peer("router") == STATE.roles[0]
    assert STATE.peer("engine") is None


# --- the provider end ------------------------------------------------------------------------


class Provider(ops.CharmBase):
    spec = RoleSpec(template=TEMPLATE, replicas=2)
    log: dict  # of the class, since ops.testing runs a subclass

    def __init__(self, framework):
        super().__init__(framework)
        self.role = RoleProvider(self, "role")
        framework.observe(self.role.on.role_changed, self._on_role_changed)
        framework.observe(self.on.config_changed, self._on_config_changed)

    def _on_role_changed(self, _):
        self.log["changes"] += 1
        self.log["seen"] = (self.role.related, self.role.state)

    def _on_config_changed(self, _):
        self.role.publish(self.spec)
        self.log["seen"] = (self.role.related, self.role.state)


@pytest.fixture
def provider():
    class Charm(Provider):
        log = {"changes": 0}  # noqa: RUF012

    meta = {"name": "engine", "provides": {"role": {"interface": "rbg_role"}}}
    ctx = testing.Context(Charm, meta=meta, config={}, actions={})
    ctx.charm = Charm
    return ctx


def role_relation(local=None, remote=None, **said):
    return testing.Relation(
        "role",
        remote_app_name="llama",
        local_app_data=local or {},
        remote_app_data=remote or {},
        **said,
    )


def publish(ctx, relation, *, leader=True, spec=None):
    ctx.charm.spec = spec or Provider.spec
    state = testing.State(leader=leader, relations=[relation])
    return ctx.run(ctx.on.config_changed(), state).get_relation(relation.id).local_app_data


WRITTEN = {
    "template": '{"spec":{"containers":[{"image":"i","name":"serve"}]}}',
    "replicas": "2",
}


def test_the_leader_publishes(provider):
    assert publish(provider, role_relation()) == WRITTEN


def test_another_unit_does_not(provider):
    assert publish(provider, role_relation(), leader=False) == {}


def test_what_is_no_longer_said_is_taken_back(provider):
    before = {**WRITTEN, "replicas": "9", "min_ready_seconds": "5", "foreign": "kept"}
    assert publish(provider, role_relation(before)) == {**WRITTEN, "foreign": "kept"}


@pytest.fixture
def writes(monkeypatch):
    """Keys that are really written or deleted (which ops does by writing nothing)."""
    seen = []
    original = ops.RelationDataContent.__setitem__

    def spy(self, key, value):
        seen.append(key)
        original(self, key, value)

    monkeypatch.setattr(ops.RelationDataContent, "__setitem__", spy)
    return seen


def test_only_what_changes_is_written(provider, writes):
    first = publish(provider, role_relation())
    assert sorted(writes) == ["replicas", "template"]
    writes.clear()
    assert publish(provider, role_relation(first)) == first
    assert writes == []
    publish(provider, role_relation(first), spec=RoleSpec(template=TEMPLATE, replicas=3))
    assert writes == ["replicas"]
    writes.clear()
    publish(provider, role_relation(first), spec=RoleSpec(template=TEMPLATE))
    assert writes == ["replicas"]  # the default again: deleted


def test_a_role_too_large_is_not_published(provider):
    large = RoleSpec(template={**TEMPLATE, "x": "y" * 2**18})
    with pytest.raises(testing.errors.UncaughtCharmError) as e:
        publish(provider, role_relation(), spec=large)
    assert isinstance(e.value.__cause__, RoleDataError)
    assert str(e.value.__cause__) == "template: is larger than 256 KiB"


def test_no_relation(provider):
    out = provider.run(provider.on.config_changed(), testing.State(leader=True))
    assert provider.charm.log["seen"] == (False, None)
    assert out.unit_status == testing.UnknownStatus()  # the library never sets one


ANSWER = rbg_role._write(STATE)


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ({}, None),
        ({"desired": "1"}, None),
        ({"group": "{"}, None),
        ({"group": '"llama"'}, None),
        ({**ANSWER, "state": '"sleeping"'}, None),
        ({**ANSWER, "ports": "1"}, None),
        (ANSWER, STATE),
        ({**ANSWER, "new-in-2027": "?"}, STATE),
        (
            {"group": '"llama"', "namespace": '"ml"', "role": '"engine"'},
            RoleState(group="llama", namespace="ml", role="engine"),
        ),
    ],
)
@pytest.mark.parametrize("leader", [True, False])
def test_state(provider, remote, expected, leader):
    publish(provider, role_relation(remote=remote), leader=leader)
    assert provider.charm.log["seen"] == (True, expected)


def test_state_of_the_newest_relation(provider):
    old = role_relation(remote={**ANSWER, "group": '"gone"'}, id=1)
    new = role_relation(remote=ANSWER, id=2)
    provider.run(provider.on.config_changed(), testing.State(relations=[new, old]))
    assert provider.charm.log["seen"] == (True, STATE)


@pytest.mark.parametrize("event", ["relation_created", "relation_changed"])
def test_role_changed(provider, event):
    relation = role_relation(remote=ANSWER)
    provider.run(getattr(provider.on, event)(relation), testing.State(relations=[relation]))
    assert provider.charm.log["changes"] == 1
    assert provider.charm.log["seen"] == (True, STATE)


def test_role_changed_when_the_relation_goes(provider):
    relation = role_relation(remote=ANSWER)
    provider.run(provider.on.relation_broken(relation), testing.State(relations=[relation]))
    assert provider.charm.log["changes"] == 1
    assert provider.charm.log["seen"] == (False, None)


@pytest.mark.parametrize("event", ["relation_joined", "relation_departed"])
def test_units_that_come_and_go_change_nothing(provider, event):
    relation = role_relation(remote=ANSWER)
    event = getattr(provider.on, event)(relation, remote_unit=0)
    provider.run(event, testing.State(relations=[relation]))
    assert provider.charm.log["changes"] == 0


# --- the requirer end ------------------------------------------------------------------------


class Requirer(ops.CharmBase):
    word = STATE
    log: dict

    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.engine_relation_changed, self._on_changed)

    def _on_changed(self, event):
        end = RoleRequirer(event.relation, self.app)
        try:
            self.log["heard"] = end.role()
        except RoleDataError as e:
            self.log["heard"] = str(e)
        if self.unit.is_leader():
            self.log["news"] = end.answer(self.word)


@pytest.fixture
def requirer():
    class Charm(Requirer):
        log = {}  # noqa: RUF012

    meta = {"name": "llama", "requires": {"engine": {"interface": "rbg_role"}}}
    ctx = testing.Context(Charm, meta=meta, config={}, actions={})
    ctx.charm = Charm
    return ctx


def hear(ctx, remote, local=None, *, leader=True):
    relation = testing.Relation("engine", remote_app_data=remote, local_app_data=local or {})
    state = testing.State(leader=leader, relations=[relation])
    out = ctx.run(ctx.on.relation_changed(relation, remote_unit=0), state)
    return out.get_relation(relation.id).local_app_data


def test_the_group_reads_and_answers(requirer):
    assert hear(requirer, rbg_role._write(WHOLE)) == ANSWER
    assert requirer.charm.log["heard"] == WHOLE
    assert requirer.charm.log["news"] is True


def test_an_old_answer_is_no_news(requirer, writes):
    assert hear(requirer, bag(), ANSWER) == ANSWER
    assert requirer.charm.log["news"] is False
    assert writes == []


def test_an_answer_takes_back_what_is_over(requirer, writes):
    requirer.charm.word = STATE.model_copy(update={"reason": "", "ready": 2})
    answer = hear(requirer, bag(), ANSWER)
    assert answer == {k: v for k, v in ANSWER.items() if k != "reason"} | {"ready": "2"}
    assert sorted(writes) == ["ready", "reason"]
    assert requirer.charm.log["news"] is True


def test_the_group_hears_nonsense(requirer):
    hear(requirer, bag(replicas=-1), leader=False)
    assert requirer.charm.log["heard"] == f"replicas: -1 {AT_LEAST} 0"


# --- the common pod --------------------------------------------------------------------------

PROBE = {"httpGet": {"path": "/health", "port": "http"}, "timeoutSeconds": 5}
PROBES = {
    "startupProbe": {**PROBE, "periodSeconds": 6, "failureThreshold": 150},
    "readinessProbe": {**PROBE, "periodSeconds": 10},
}
HTTP = {"ports": [{"name": "http", "containerPort": 8000}]}


def test_the_smallest_pod():
    assert serving_pod("i") == {
        "spec": {"containers": [{"name": "serve", "image": "i", **HTTP, **PROBES}]}
    }


def test_the_whole_pod():
    probe = {"httpGet": {"path": "/live", "port": "api"}, "timeoutSeconds": 5}
    amounts = {"memory": "64Gi", "amd.com/gpu": "8"}
    assert serving_pod(
        "i",
        ["--x", "1"],
        name="engine",
        command=["python3"],
        env={"B": "2", "A": "1"},
        ports={"api": 80, "kv": 90},
        gpus=8,
        gpu_resource="amd.com/gpu",
        resources={"memory": "64Gi"},
        shared_memory="16Gi",
        storage=ModelStorage(claim="weights", mount_path="/w"),
        health_path="/live",
        start_seconds=5,
        labels={"l": "1"},
        annotations={"a": "2"},
    ) == {
        "metadata": {"labels": {"l": "1"}, "annotations": {"a": "2"}},
        "spec": {
            "containers": [
                {
                    "name": "engine",
                    "image": "i",
                    "command": ["python3"],
                    "args": ["--x", "1"],
                    "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
                    "ports": [
                        {"name": "api", "containerPort": 80},
                        {"name": "kv", "containerPort": 90},
                    ],
                    "resources": {"requests": amounts, "limits": amounts},
                    "startupProbe": {**probe, "periodSeconds": 6, "failureThreshold": 1},
                    "readinessProbe": {**probe, "periodSeconds": 10},
                    "volumeMounts": [
                        {"name": "shm", "mountPath": "/dev/shm"},
                        {"name": "model", "mountPath": "/w", "readOnly": True},
                    ],
                }
            ],
            "volumes": [
                {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}},
                {
                    "name": "model",
                    "persistentVolumeClaim": {"claimName": "weights", "readOnly": True},
                },
            ],
        },
    }


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ({"health_path": ""}, HTTP),
        ({"ports": {}}, {}),
        ({"ports": {}, "health_path": ""}, {}),
        ({"labels": {"a": "b"}, "health_path": ""}, HTTP),
    ],
)
def test_pods_without_probes(said, left):
    pod = serving_pod("i", **said)
    assert pod["spec"] == {"containers": [{"name": "serve", "image": "i", **left}]}
    assert pod.get("metadata") == ({"labels": {"a": "b"}} if "labels" in said else None)


def test_requests_and_limits_can_be_changed_apart():
    resources = serving_pod("i", gpus=1)["spec"]["containers"][0]["resources"]
    assert resources["requests"] == resources["limits"]
    assert resources["requests"] is not resources["limits"]


def test_the_pod_is_a_role():
    assert read_role(bag(template=serving_pod("i"))).template == serving_pod("i")


@pytest.mark.parametrize(
    ("template", "field"),
    [
        ({"metadata": "oops"}, "template.metadata"),
        ({"metadata": {"labels": ["a"]}}, "template.metadata.labels"),
        ({"metadata": {"annotations": "a"}}, "template.metadata.annotations"),
    ],
)
def test_what_the_group_charm_adds_to_must_have_its_shape(template, field):
    spec = {"containers": [{"name": "a", "image": "b"}]}
    with pytest.raises(RoleDataError) as error:
        read_role({"template": json.dumps({**template, "spec": spec})})
    assert str(error.value) == f"{field}: has the wrong shape for a pod template"


def test_an_environment_that_is_none():
    spec = {"containers": [{"name": "a", "image": "b", "env": {"A": "1"}}]}
    with pytest.raises(RoleDataError) as error:
        read_role({"template": json.dumps({"spec": spec})})
    assert str(error.value) == (
        "template.spec.containers[0].env: has the wrong shape for a pod template"
    )


@pytest.mark.parametrize("value", ['{"a": "\\ud800"}', '{"\\udfff": 1}'])
def test_half_a_character_is_refused(value):
    with pytest.raises(RoleDataError) as error:
        read_role({"template": value})
    assert str(error.value) == "template: has half a character (a lone surrogate)"
