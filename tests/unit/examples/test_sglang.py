# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The reference role charm: exact arguments, pods and statuses."""

import json
import sys

import pytest
import yaml
from ops import testing

from charms.rbg_k8s.v0.rbg_role import ModelSettings, ModelStorage, PeerRole, Port, RoleState

from .conftest import SGLANG

META = yaml.safe_load((SGLANG / "charmcraft.yaml").read_text())
CONFIG = yaml.safe_load((SGLANG / "config.yaml").read_text())
DEFAULTS = {name: option["default"] for name, option in CONFIG["options"].items()}

BASE_ARGS = ["--model-path", "Qwen/Qwen3-8B", "--host", "0.0.0.0", "--port", "8000"]
PROBE = {"httpGet": {"path": "/health", "port": "http"}, "timeoutSeconds": 5}
PROBES = {
    "startupProbe": {**PROBE, "periodSeconds": 6, "failureThreshold": 150},
    "readinessProbe": {**PROBE, "periodSeconds": 10},
}
SHM = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}}


def peer(role, port=None):
    labels = {"rbg-k8s.charm/role": role, "rbg-k8s.charm/group": "llama"}
    ports = [Port(name="bootstrap", port=1), Port(name="http", port=port)] if port else []
    return PeerRole(
        role=role,
        ports=ports,
        selector=labels,
        leader_selector={**labels, "rbg-k8s.charm/leader": "true"},
    )


def state(endpoint, *peers, **said):
    role = "further" if endpoint == "role" else endpoint
    said = {"model": ModelSettings(name="Qwen/Qwen3-8B"), **said}
    given = {"group": "llama", "namespace": "ml", "role": role, "endpoint": endpoint}
    return RoleState(**given, roles=list(peers), **said)


def selector(role):
    return [
        "rbg-k8s.charm/group=llama",
        "rbg-k8s.charm/leader=true",
        f"rbg-k8s.charm/role={role}",
    ]


@pytest.fixture
def options(example):
    def make(**changed):
        config = {**DEFAULTS, **{name.replace("_", "-"): v for name, v in changed.items()}}
        return example.options.Options(**{k.replace("-", "_"): v for k, v in config.items()})

    return make


@pytest.fixture
def spec(example, options):
    def make(state, **changed):
        return example.sglang.role_spec(options(**changed), state)

    return make


def said(spec):
    return spec.model_dump(mode="json", exclude_defaults=True)


def args(spec):
    return spec.template["spec"]["containers"][0]["args"]


def test_the_example_leaves_no_trace(example):
    assert "sglang" not in sys.modules
    assert str(SGLANG / "src") not in sys.path
    assert example.charm.SglangCharm.__module__ == "charm"


# --- engines ---------------------------------------------------------------------------------


def test_plain_engine(spec):
    assert said(spec(state("engine"))) == {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "serve",
                        "image": "lmsysorg/sglang:v0.5.9",
                        "command": ["python3", "-m", "sglang.launch_server"],
                        "args": [*BASE_ARGS, "--tp-size", "1", "--enable-metrics"],
                        "ports": [{"name": "http", "containerPort": 8000}],
                        "resources": {
                            "requests": {"nvidia.com/gpu": "1"},
                            "limits": {"nvidia.com/gpu": "1"},
                        },
                        **PROBES,
                        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
                    }
                ],
                "volumes": [SHM],
            }
        },
        "ports": [{"name": "http", "port": 8000}],
        "metrics": {"port": 8000},
    }


def test_multi_node_engine_has_probes_on_the_leader_only(spec):
    made = spec(state("engine"), nodes=2, gpus=8)
    assert args(made) == [
        *BASE_ARGS,
        "--tp-size",
        "16",
        "--enable-metrics",
        "--dist-init-addr",
        "$(LEADER_ADDRESS):20000",
        "--nnodes",
        "$(GROUP_SIZE)",
        "--node-rank",
        "$(WORKER_INDEX)",
    ]
    assert said(made)["multi_node"] == {
        "size": 2,
        "leader_patch": {"spec": {"containers": [{"name": "serve", **PROBES}]}},
        "restart_policy": {"type": "RecreateRoleInstanceOnPodRestart"},
    }
    assert not PROBES.keys() & made.template["spec"]["containers"][0].keys()


PREFILL = ["--disaggregation-mode", "prefill", "--disaggregation-transfer-backend", "mooncake"]
PREFILL += ["--disaggregation-bootstrap-port", "8998"]


@pytest.mark.parametrize(
    ("state", "mode", "tail"),
    [
        (state("engine"), "auto", []),
        (state("engine", peer("router")), "auto", []),
        (state("engine", peer("decoder")), "plain", []),
        (state("role", peer("decoder")), "auto", []),
        (state("engine", peer("decoder")), "auto", PREFILL),
        (state("engine"), "prefill", PREFILL),
        (state("role"), "prefill", PREFILL),
        (state("decoder"), "auto", ["--disaggregation-mode", "decode", *PREFILL[2:4]]),
        (state("decoder"), "decode", ["--disaggregation-mode", "decode", *PREFILL[2:4]]),
        (state("role"), "decode", ["--disaggregation-mode", "decode", *PREFILL[2:4]]),
    ],
)
def test_mode(spec, state, mode, tail):
    made = spec(state, mode=mode)
    assert args(made) == [*BASE_ARGS, "--tp-size", "1", "--enable-metrics", *tail]
    prefill = tail == PREFILL
    annotations = {"annotations": {"sglang.ai/bootstrap-port": "8998"}}
    assert made.template.get("metadata") == (annotations if prefill else None)
    bootstrap = [Port(name="bootstrap", port=8998)] if prefill else []
    assert made.ports == [Port(name="http", port=8000), *bootstrap]


@pytest.mark.parametrize(
    ("endpoint", "mode", "fitting"),
    [
        ("engine", "decode", "auto or plain or prefill"),
        ("decoder", "plain", "auto or decode"),
        ("decoder", "prefill", "auto or decode"),
    ],
)
def test_mode_that_does_not_fit(example, spec, endpoint, mode, fitting):
    with pytest.raises(example.sglang.MisconfiguredError) as e:
        spec(state(endpoint), mode=mode)
    assert str(e.value) == (
        f"config mode: {mode} does not fit the endpoint {endpoint}; set it to {fitting}"
    )


def test_every_option_of_an_engine(spec):
    made = spec(
        state("engine"),
        image="registry/sglang:mine",
        model="/models/qwen",
        mode="prefill",
        transfer_backend="nixl",
        replicas=3,
        gpus=4,
        tensor_parallel=2,
        port=9000,
        shared_memory="",
        start_seconds=60,
        start_after="store cache",
        env="HF_HOME=/models NCCL_DEBUG='A B'",
        extra_args="--trust-remote-code --json-model-override-args '{\"a\": 1}'",
    )
    container = made.template["spec"]["containers"][0]
    assert container["image"] == "registry/sglang:mine"
    assert container["args"] == [
        *["--model-path", "/models/qwen", "--host", "0.0.0.0", "--port", "9000"],
        *["--tp-size", "2", "--enable-metrics", "--disaggregation-mode", "prefill"],
        *["--disaggregation-transfer-backend", "nixl", "--disaggregation-bootstrap-port", "8998"],
        *["--trust-remote-code", "--json-model-override-args", '{"a": 1}'],
    ]
    assert container["env"] == [
        {"name": "HF_HOME", "value": "/models"},
        {"name": "NCCL_DEBUG", "value": "A B"},
    ]
    assert container["startupProbe"]["failureThreshold"] == 10
    assert "volumes" not in made.template["spec"]
    assert (made.replicas, made.start_after, made.metrics.port) == (3, ["store", "cache"], 9000)


def test_an_autoscaled_engine(spec):
    made = spec(state("engine"), max_replicas=8, scale_by="sglang-token-usage=0.8", partition=1)
    assert made.scaling.model_dump() == {
        "min": 1,
        "max": 8,
        "metrics": [{"preset": "sglang-token-usage", "target": "0.8"}],
        "behaviour": {},
    }
    assert made.rollout.partition == 1
    assert spec(state("engine")).scaling is None


def test_bounds_the_wrong_way_round(ctx):
    out, _ = run(ctx, relation(state("engine")), config={"min-replicas": 3, "max-replicas": 2})
    assert out.unit_status == testing.BlockedStatus(
        "config min-replicas: must not be more than max-replicas (2)"
    )


def test_the_groups_model_settings(spec):
    storage = ModelStorage(claim="weights", mount_path="/models")
    model = ModelSettings(name="/models/qwen", served_name="qwen3", storage=storage)
    made = spec(state("engine", model=model))
    assert args(made)[:2] == ["--model-path", "/models/qwen"]
    assert args(made)[-2:] == ["--served-model-name", "qwen3"]
    claim = {"claimName": "weights", "readOnly": True}
    assert made.template["spec"]["volumes"] == [
        SHM,
        {"name": "model", "persistentVolumeClaim": claim},
    ]


def test_an_engine_without_gpus_runs_one_rank_per_node(spec):
    made = spec(state("engine"), gpus=0, nodes=2)
    assert args(made)[6:8] == ["--tp-size", "2"]
    assert "resources" not in made.template["spec"]["containers"][0]


def test_no_model(example, spec):
    with pytest.raises(example.sglang.MisconfiguredError) as e:
        spec(state("engine", model=ModelSettings()))
    assert str(e.value) == "no model; run `juju config llama model=<name or path>`"


# --- the router ------------------------------------------------------------------------------


def test_router_of_an_engine(spec):
    assert said(spec(state("router", peer("engine"), peer("other")))) == {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "serve",
                        "image": "lmsysorg/sglang-router:v0.2.4",
                        "command": ["python3", "-m", "sglang_router.launch_router"],
                        "args": [
                            *["--host", "0.0.0.0", "--port", "8000"],
                            *["--service-discovery", "--service-discovery-namespace", "ml"],
                            *["--service-discovery-port", "8000"],
                            *["--selector", *selector("engine")],
                            *["--prometheus-host", "0.0.0.0", "--prometheus-port", "29000"],
                        ],
                        "ports": [
                            {"name": "http", "containerPort": 8000},
                            {"name": "metrics", "containerPort": 29000},
                        ],
                        **PROBES,
                    }
                ]
            }
        },
        "ports": [{"name": "http", "port": 8000}, {"name": "metrics", "port": 29000}],
        "metrics": {"port": 29000},
        "discovers": ["engine"],
    }


def test_router_of_prefill_and_decode(spec):
    made = spec(
        state("router", peer("decoder"), peer("engine")),
        port=9000,
        replicas=2,
        extra_args="--policy random",
        model="ignored",
        mode="prefill",
        nodes=4,
    )
    assert args(made) == [
        *["--host", "0.0.0.0", "--port", "9000", "--pd-disaggregation"],
        *["--service-discovery", "--service-discovery-namespace", "ml"],
        *["--service-discovery-port", "8000"],
        *["--prefill-selector", *selector("engine"), "--decode-selector", *selector("decoder")],
        *["--prometheus-host", "0.0.0.0", "--prometheus-port", "29000"],
        *["--policy", "random"],
    ]
    assert (made.discovers, made.replicas) == (["engine", "decoder"], 2)
    assert made.multi_node is None


def test_router_is_the_same_before_and_after_the_ports_are_known(spec):
    before = spec(state("router", peer("engine"), peer("decoder")), worker_port=9100)
    after = spec(state("router", peer("engine", 9100), peer("decoder", 9100)), worker_port=9100)
    assert said(before) == said(after)
    assert "9100" in args(after)


def test_router_follows_the_workers_real_port(spec):
    made = spec(state("router", peer("engine", 9100), peer("decoder")))
    assert args(made)[args(made).index("--service-discovery-port") + 1] == "9100"


def test_router_cannot_serve_two_ports(example, spec):
    with pytest.raises(example.sglang.MisconfiguredError) as e:
        spec(state("router", peer("engine", 9001), peer("decoder", 9000)))
    assert str(e.value) == (
        "engine and decoder serve on different ports (9000, 9001); set the same `port` on both"
    )


@pytest.mark.parametrize("peers", [[], [peer("decoder")], [peer("role")]])
def test_router_waits_for_an_engine(example, spec, peers):
    with pytest.raises(example.sglang.NotReadyError) as e:
        spec(state("router", *peers))
    assert str(e.value) == "waiting for an engine in group llama"


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("lmsysorg/sglang:v0.5.9", "v0.5.9"),
        ("registry:5000/sglang", ""),
        ("registry:5000/sglang:v1@sha256:abc", "v1"),
        ("sglang@sha256:abc", ""),
    ],
)
def test_version(example, spec, image, version):
    assert example.sglang.version_of(spec(state("engine"), image=image)) == version


# --- the charm -------------------------------------------------------------------------------


@pytest.fixture
def ctx(example):
    return testing.Context(
        example.charm.SglangCharm, meta=META, config=CONFIG, app_name="prefill", actions={}
    )


def databag(state):
    dumped = state.model_dump(mode="json")
    return {name: json.dumps(value) for name, value in dumped.items()}


def relation(state=None, local=None):
    return testing.Relation(
        "role",
        remote_app_name="llama",
        remote_app_data=databag(state) if state else {},
        local_app_data=local or {},
    )


def run(ctx, relation=None, event=None, *, leader=True, config=None):
    relations = [relation] if relation else []
    given = testing.State(leader=leader, relations=relations, config=config or {})
    out = ctx.run(event or ctx.on.config_changed(), given)
    return out, (out.get_relation(relation.id) if relation else None)


def test_not_related(ctx):
    out, _ = run(ctx)
    assert out.unit_status == testing.BlockedStatus(
        "not related to a group; run `juju integrate prefill:role <group>:engine`"
    )


@pytest.mark.parametrize("leader", [True, False])
def test_group_is_silent(ctx, leader):
    out, rel = run(ctx, relation(), leader=leader)
    assert out.unit_status == testing.WaitingStatus("waiting for group llama to answer")
    assert rel.local_app_data == {}


def test_first_word_to_the_group(ctx):
    rel = relation(state("engine", state="blocked", reason="prefill: template is missing"))
    out, rel = run(ctx, rel, ctx.on.relation_changed(rel))
    assert set(rel.local_app_data) == {"template", "ports", "metrics"}
    # What the group said is out of date: it had not heard of the role.
    assert out.unit_status == testing.WaitingStatus(
        "published, waiting for the group to take it up"
    )
    assert out.workload_version == "v0.5.9"


@pytest.mark.parametrize(
    ("kind", "counts", "reason", "expected"),
    [
        ("ready", (2, 2), "", testing.ActiveStatus("engine of llama: 2/2 ready")),
        ("ready", (2, 2), "held", testing.ActiveStatus("engine of llama: 2/2 ready, held")),
        (
            "updating",
            (1, 2),
            "updating, 1/2 updated",
            testing.MaintenanceStatus("engine of llama: 1/2 ready, updating, 1/2 updated"),
        ),
        (
            "waiting",
            (0, 2),
            "pods starting",
            testing.WaitingStatus("engine of llama: 0/2 ready, pods starting"),
        ),
        ("unknown", (0, 0), "", testing.WaitingStatus("engine of llama: 0/0 ready")),
        (
            "blocked",
            (1, 2),
            "cannot pull image x",
            testing.BlockedStatus("engine of llama: 1/2 ready, cannot pull image x"),
        ),
    ],
)
@pytest.mark.parametrize("leader", [True, False])
def test_standing(ctx, kind, counts, reason, expected, leader):
    ready, desired = counts
    heard = state("engine", state=kind, ready=ready, desired=desired, reason=reason)
    out, _ = run(ctx, relation(heard, {"replicas": "9"}), ctx.on.update_status(), leader=leader)
    assert out.unit_status == expected


def test_only_the_leader_publishes(ctx):
    _, rel = run(ctx, relation(state("engine")), leader=False)
    assert rel.local_app_data == {}


@pytest.mark.parametrize(
    "event",
    ["config_changed", "leader_elected", "update_status", "upgrade_charm", "relation_changed"],
)
def test_every_event_that_may_change_the_role(ctx, event):
    rel = relation(state("engine"))
    event = getattr(ctx.on, event)
    _, rel = run(ctx, rel, event(rel) if "relation" in event.__name__ else event())
    assert "template" in rel.local_app_data


def test_no_model_publishes_nothing(ctx):
    out, rel = run(ctx, relation(state("engine", model=ModelSettings())))
    assert out.unit_status == testing.BlockedStatus(
        "no model; run `juju config llama model=<name or path>`"
    )
    assert rel.local_app_data == {}


def test_router_without_an_engine_says_nothing_new(ctx):
    published = {"replicas": "3"}
    out, rel = run(ctx, relation(state("router"), published))
    assert out.unit_status == testing.WaitingStatus("waiting for an engine in group llama")
    assert rel.local_app_data == published


def test_router(ctx):
    _, rel = run(ctx, relation(state("router", peer("engine"))))
    assert json.loads(rel.local_app_data["discovers"]) == ["engine"]


def test_garbage_from_the_group_is_silence(ctx):
    rel = testing.Relation("role", remote_app_name="llama", remote_app_data={"group": "{"})
    out, _ = run(ctx, rel)
    assert out.unit_status == testing.WaitingStatus("waiting for group llama to answer")


def test_relation_gone(ctx):
    rel = relation(state("engine"), {"replicas": "2"})
    out, _ = run(ctx, rel, ctx.on.relation_broken(rel))
    assert out.unit_status.name == "blocked"
    assert out.unit_status.message.startswith("not related to a group")


def test_the_newest_relation_counts(ctx):
    dead = testing.Relation("role", id=1, remote_app_name="gone", remote_app_data={})
    live = testing.Relation("role", id=2, remote_app_name="llama", remote_app_data={})
    out = ctx.run(ctx.on.config_changed(), testing.State(leader=True, relations=[dead, live]))
    assert out.unit_status == testing.WaitingStatus("waiting for group llama to answer")


def test_a_role_too_large_is_refused(ctx):
    rel = relation(state("engine"))
    out, rel = run(ctx, rel, config={"extra-args": "x" * 300_000})
    assert rel.local_app_data == {}
    assert out.unit_status == testing.BlockedStatus(
        "cannot be published: template: is larger than 256 KiB"
    )


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("image", "", "string should match pattern '^\\S+$'"),
        ("router-image", "a b", "string should match pattern '^\\S+$'"),
        ("model", "a b", "string should match pattern '^\\S*$'"),
        ("mode", "x", "input should be 'auto', 'plain', 'prefill' or 'decode'"),
        ("replicas", -1, "input should be greater than or equal to 0"),
        ("min-replicas", -1, "input should be greater than or equal to 0"),
        ("max-replicas", -1, "input should be greater than or equal to 0"),
        ("scale-by", "queue", "string should match pattern '^[a-z-]+=[0-9.]+$'"),
        ("partition", -1, "input should be greater than or equal to 0"),
        (
            "workload",
            "Pod",
            "input should be 'auto', 'StatefulSet', 'Deployment', 'LeaderWorkerSet' or "
            "'RoleInstanceSet'",
        ),
        ("nodes", 0, "input should be greater than or equal to 1"),
        ("gpus", -1, "input should be greater than or equal to 0"),
        ("tensor-parallel", -1, "input should be greater than or equal to 0"),
        ("transfer-backend", "", "string should match pattern '^\\S+$'"),
        ("port", 0, "input should be greater than or equal to 1"),
        ("worker-port", 65536, "input should be less than or equal to 65535"),
        (
            "shared-memory",
            "lots",
            "string should match pattern '^([0-9]+(\\.[0-9]+)?([KMGT]i?)?)?$'",
        ),
        ("start-seconds", 5, "input should be greater than or equal to 6"),
        ("start-after", "'", "cannot be split into words: no closing quotation"),
        ("env", "A=1 B", "must be NAME=value, separated by spaces; 'B' is not"),
        ("env", "=1", "must be NAME=value, separated by spaces; '' is not"),
        ("extra-args", '"', "cannot be split into words: no closing quotation"),
    ],
)
def test_invalid_config(ctx, option, value, reason):
    out, rel = run(ctx, relation(state("engine")), config={option: value})
    assert out.unit_status == testing.BlockedStatus(f"config {option}: {reason}")
    assert rel.local_app_data == {}


def test_every_option_is_typed(example):
    fields = example.options.Options.model_fields
    assert {name.replace("_", "-") for name in fields} == set(CONFIG["options"])
