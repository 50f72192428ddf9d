# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Groups as role charms say them: the inputs of the golden manifests, unit and functional."""

import json
from typing import Any

from holds import Holds
from inputs import Inputs, RelatedRole


def template(image: str = "example.test/engine:1", **container: Any) -> dict[str, Any]:
    """A pod template with one serving container."""
    serving = {"name": "serve", "image": image, **container}
    return {"spec": {"containers": [serving]}}


def said(**fields: Any) -> dict[str, str]:
    """A databag: one JSON value per field."""
    return {name: json.dumps(value) for name, value in fields.items()}


def related(endpoint: str, application: str = "", relation_id: int = 0, **fields: Any):
    """One related role; its relation id follows from the endpoint unless given."""
    ids = {"engine": 11, "decoder": 12, "router": 13}
    return RelatedRole(
        endpoint,
        relation_id or ids.get(endpoint, 20 + sum(map(ord, application))),
        application or {"engine": "prefill", "decoder": "decode", "router": "gateway"}[endpoint],
        said(**fields),
    )


def group(*roles: RelatedRole, holds: Holds | None = None, **config: Any) -> Inputs:
    """What Juju says of the group `llama` in model `ml`."""
    options = {"model": "", "served-model-name": "", "model-storage": "", **config}
    return Inputs("llama", "ml", options, roles, holds or Holds())


_PORTS = [{"name": "http", "port": 8000}]
_LEADER_ARGS = [
    "--dist-init-addr",
    "$(LEADER_ADDRESS):20000",
    "--nnodes",
    "$(GROUP_SIZE)",
    "--node-rank",
    "$(WORKER_INDEX)",
]


def single_engine() -> Inputs:
    """One engine, one pod per replica."""
    return group(related("engine", template=template(), replicas=2))


def engine_and_router() -> Inputs:
    """Many pods per replica of the engine; the router finds its pods."""
    return group(
        related(
            "engine",
            template=template(args=_LEADER_ARGS),
            multi_node={"size": 2},
            ports=_PORTS,
        ),
        related(
            "router",
            template=template("example.test/router:1"),
            discovers=["engine"],
            start_after=["engine"],
        ),
    )


def prefill_decode_router() -> Inputs:
    """The SGLang group: multi-node prefill, decode, router."""
    return group(
        related(
            "engine",
            template=template(
                args=["--disaggregation-mode", "prefill", *_LEADER_ARGS],
                resources={"limits": {"nvidia.com/gpu": "8"}},
                env=[{"name": "NCCL_DEBUG", "value": "WARN"}],
            ),
            replicas=2,
            multi_node={
                "size": 2,
                "leader_patch": {
                    "spec": {
                        "containers": [
                            {
                                "name": "serve",
                                "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}},
                            }
                        ]
                    }
                },
                "worker_patch": {"metadata": {"annotations": {"example.test/worker": "true"}}},
            },
            ports=_PORTS,
        ),
        related(
            "decoder",
            template=template(args=["--disaggregation-mode", "decode"]),
            replicas=4,
            rollout={"max_unavailable": "25%"},
            ports=_PORTS,
        ),
        related(
            "router",
            template=template("example.test/router:1"),
            discovers=["engine", "decoder"],
            ports=_PORTS,
        ),
    )


def every_field() -> Inputs:
    """Whatever RBG 0.5 and later take of a role, and further roles beside the three."""
    return group(
        related(
            "engine",
            template=template(),
            replicas=3,
            rollout={"max_unavailable": "100%", "max_surge": 1, "partition": 1},
            ports=_PORTS,
            engine_runtimes=[
                {"profile": "patio", "containers": [{"name": "patio", "args": ["--port", "9"]}]},
                {"profile": "plain"},
            ],
            min_ready_seconds=10,
            labels={"example.test/team": "llm"},
            annotations={"example.test/why": "golden"},
        ),
        related(
            "decoder",
            template=template(),
            multi_node={
                "size": 3,
                "restart_policy": {
                    "type": "RecreateRoleInstanceOnPodRestart",
                    "base_delay_seconds": 10,
                    "max_delay_seconds": 120,
                },
            },
        ),
        related("role", "cache", template=template(), workload="Deployment", replicas=2),
        related("role", "master", template=template(), workload="StatefulSet"),
    )


def newest() -> Inputs:
    """What only RBG 0.7 and later take: components, in-place updates, the leader's Service."""
    return group(
        related(
            "engine",
            components=[
                {"name": "main", "template": template()},
                {
                    "name": "helper",
                    "size": 2,
                    "template": template("example.test/helper:1"),
                    "service_name": "helpers",
                    "labels": {"example.test/part": "helper"},
                    "annotations": {"example.test/kind": "helper"},
                },
            ],
            restart_policy={"type": "None"},
            pod_management="OrderedReady",
        ),
        related(
            "decoder",
            template=template(),
            multi_node={"size": 2, "service_selects": "All", "restart_policy": {"type": "None"}},
            rollout={"type": "InPlaceOnly", "partition": "50%"},
            replicas=2,
        ),
    )


def groups() -> Inputs:
    """The SGLang group three times; the router finds the workers of its own group."""
    own = ["--selector", "rbg.workloads.x-k8s.io/group-name=$(GROUP_NAME)"]
    router = related("router", template=template("example.test/router:1", args=own))
    return group(*prefill_decode_router().roles[:2], router, groups=3)


OLDEST = {
    "single-engine": single_engine,
    "engine-router": engine_and_router,
    "prefill-decode-router": prefill_decode_router,
    "groups": groups,
}
"""What every RBG release takes."""
SHAPES = {**OLDEST, "every-field": every_field, "newest": newest}
APIS = {
    "v0.3.0": ("v1alpha1", OLDEST),
    "v0.6.0": (
        "v1alpha1 min-ready-seconds partition role-metadata role-templates scaling-adapter",
        {**OLDEST, "every-field": every_field},
    ),
    "v0.7.0": (
        "v1alpha2 min-ready-seconds multi-component partition pod-management role-metadata "
        "scaling-adapter service-selection",
        SHAPES,
    ),
    "v0.8.0-alpha.5": (
        "v1alpha2 min-ready-seconds multi-component partition pod-management restart-delays "
        "role-metadata scaling-adapter service-selection",
        SHAPES,
    ),
}
"""RBG release → its API as the charm sees it, and the shapes it takes."""
