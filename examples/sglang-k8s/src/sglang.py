# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What SGLang's pods look like: config + what the group says → the role's specification.

Pure: the same input gives the same bytes, since a changed byte restarts GPUs.
"""

from typing import Any

from charms.rbg_k8s.v0.rbg_role import (
    Metrics,
    MultiNode,
    PeerRole,
    Port,
    RestartPolicy,
    RestartType,
    RoleSpec,
    RoleState,
    Rollout,
    Scaling,
    serving_pod,
)
from options import Mode, Options

BOOTSTRAP_PORT = 8998
"""Where prefill pods tell decode pods how to fetch the KV cache (SGLang's default)."""
BOOTSTRAP_ANNOTATION = "sglang.ai/bootstrap-port"
"""Where the router, which finds prefill pods by label, reads that port."""
DIST_INIT_PORT = 20000
ROUTER_METRICS_PORT = 29000

_FITTING_MODES = {
    "engine": (Mode.AUTO, Mode.PLAIN, Mode.PREFILL),
    "decoder": (Mode.AUTO, Mode.DECODE),
}


class NotReadyError(Exception):
    """The role cannot be said yet: the group must come along first."""


class MisconfiguredError(Exception):
    """The role cannot be said before a person changes the config; the text says how."""


def role_spec(options: Options, state: RoleState) -> RoleSpec:
    """The role to be published.

    Raises:
        NotReadyError: the group lacks something that comes by itself.
        MisconfiguredError: the config does not fit the group.
    """
    if state.endpoint == "router":
        return _router(options, state)
    return _engine(options, state)


def mode_of(options: Options, state: RoleState) -> Mode:
    """What the engine does: as configured, or what fits the endpoint and the group.

    Raises:
        MisconfiguredError: the mode does not fit the endpoint.
    """
    fitting = _FITTING_MODES.get(state.endpoint, tuple(Mode))
    if options.mode not in fitting:
        words = " or ".join(mode.value for mode in fitting)
        raise MisconfiguredError(
            f"config mode: {options.mode.value} does not fit the endpoint {state.endpoint}; "
            f"set it to {words}"
        )
    if options.mode is not Mode.AUTO:
        return options.mode
    if state.endpoint == "decoder":
        return Mode.DECODE
    disaggregated = state.endpoint == "engine" and state.peer("decoder") is not None
    return Mode.PREFILL if disaggregated else Mode.PLAIN


def version_of(spec: RoleSpec) -> str:
    """The version in the tag of the role's image; empty where it has none."""
    containers = (spec.template or {})["spec"]["containers"]
    name, _, _ = containers[0]["image"].partition("@")
    _, _, tag = name.rpartition("/")[2].partition(":")
    return tag


# --- engines and decoders --------------------------------------------------------------------


def _engine(options: Options, state: RoleState) -> RoleSpec:
    mode = mode_of(options, state)
    ports = {"http": options.port}
    if mode is Mode.PREFILL:
        ports["bootstrap"] = BOOTSTRAP_PORT
    pod = serving_pod(
        options.image,
        engine_args(options, state),
        command=["python3", "-m", "sglang.launch_server"],
        env=options.env,
        ports=ports,
        gpus=options.gpus,
        shared_memory=options.shared_memory,
        storage=state.model.storage,
        start_seconds=options.start_seconds,
        annotations={BOOTSTRAP_ANNOTATION: str(BOOTSTRAP_PORT)} if mode is Mode.PREFILL else {},
    )
    return RoleSpec(
        template=pod,
        multi_node=_multi_node(pod, options.nodes),
        replicas=options.replicas,
        workload=options.workload,
        scaling=_scaling(options),
        rollout=Rollout(partition=options.partition or None),
        start_after=options.start_after,
        ports=[Port(name=name, port=port) for name, port in ports.items()],
        metrics=Metrics(port=options.port),
    )


def _scaling(options: Options) -> Scaling | None:
    if not options.max_replicas:
        return None
    if options.min_replicas > options.max_replicas:
        bounds = f"must not be more than max-replicas ({options.max_replicas})"
        raise MisconfiguredError(f"config min-replicas: {bounds}")
    preset, _, target = options.scale_by.partition("=")
    metric = {"preset": preset, "target": target}
    return Scaling(min=options.min_replicas, max=options.max_replicas, metrics=[metric])


def engine_args(options: Options, state: RoleState) -> list[str]:
    """Arguments of `sglang.launch_server`."""
    model = options.model or state.model.name
    if not model:
        raise MisconfiguredError(f"no model; run `juju config {state.group} model=<name or path>`")
    # Without a GPU each node still runs one rank.
    size = options.tensor_parallel or max(options.gpus, 1) * options.nodes
    args = ["--model-path", model, "--host", "0.0.0.0", "--port", str(options.port)]
    args += ["--tp-size", str(size), "--enable-metrics"]
    if state.model.served_name:
        args += ["--served-model-name", state.model.served_name]
    if options.nodes > 1:
        args += ["--dist-init-addr", f"$(LEADER_ADDRESS):{DIST_INIT_PORT}"]
        args += ["--nnodes", "$(GROUP_SIZE)", "--node-rank", "$(WORKER_INDEX)"]
    mode = mode_of(options, state)
    if mode is not Mode.PLAIN:
        args += ["--disaggregation-mode", mode.value]
        args += ["--disaggregation-transfer-backend", options.transfer_backend]
    if mode is Mode.PREFILL:
        args += ["--disaggregation-bootstrap-port", str(BOOTSTRAP_PORT)]
    return args + options.extra_args


def _multi_node(pod: dict[str, Any], nodes: int) -> MultiNode | None:
    """Moves the probes from the pod to its leader: only the first node of a replica serves HTTP.

    A patch cannot take a probe away from the workers, since rbg-k8s drops the nulls of it.
    """
    if nodes == 1:
        return None
    container = pod["spec"]["containers"][0]
    probes = {name: container.pop(name) for name in ("startupProbe", "readinessProbe")}
    return MultiNode(
        size=nodes,
        leader_patch={"spec": {"containers": [{"name": container["name"], **probes}]}},
        # SGLang's nodes do not find each other again: one that restarts takes the others along.
        restart_policy=RestartPolicy(type=RestartType.RECREATE_INSTANCE),
    )


# --- the router ------------------------------------------------------------------------------


def _router(options: Options, state: RoleState) -> RoleSpec:
    ports = {"http": options.port, "metrics": ROUTER_METRICS_PORT}
    pod = serving_pod(
        options.router_image,
        router_args(options, state),
        command=["python3", "-m", "sglang_router.launch_router"],
        env=options.env,
        ports=ports,
        start_seconds=options.start_seconds,
    )
    return RoleSpec(
        template=pod,
        replicas=options.replicas,
        workload=options.workload,
        start_after=options.start_after,
        ports=[Port(name=name, port=port) for name, port in ports.items()],
        metrics=Metrics(port=ROUTER_METRICS_PORT),
        # Gives the pods a service account that may read the group's pods.
        discovers=[worker.role for worker in _workers(state)],
    )


def router_args(options: Options, state: RoleState) -> list[str]:
    """Arguments of `sglang_router.launch_router`: it finds its workers by their labels."""
    engine, *decoders = _workers(state)
    args = ["--host", "0.0.0.0", "--port", str(options.port)]
    if decoders:
        args += ["--pd-disaggregation"]
    args += ["--service-discovery", "--service-discovery-namespace", state.namespace]
    args += ["--service-discovery-port", str(_worker_port(options, state))]
    # Leaders only: the other nodes of a replica do not serve.
    if decoders:
        args += ["--prefill-selector", *_selector(engine)]
        args += ["--decode-selector", *_selector(decoders[0])]
    else:
        args += ["--selector", *_selector(engine)]
    args += ["--prometheus-host", "0.0.0.0", "--prometheus-port", str(ROUTER_METRICS_PORT)]
    return args + options.extra_args


def _workers(state: RoleState) -> list[PeerRole]:
    """The engine and, where there is one, the decoder."""
    engine, decoder = state.peer("engine"), state.peer("decoder")
    if engine is None:
        raise NotReadyError(f"waiting for an engine in group {state.group}")
    return [engine, decoder] if decoder else [engine]


def _selector(worker: PeerRole) -> list[str]:
    return [f"{name}={value}" for name, value in sorted(worker.leader_selector.items())]


def _worker_port(options: Options, state: RoleState) -> int:
    """The one port that the router looks for its workers on.

    The group knows a role's ports only once it runs. Until then, and so that nothing restarts
    then, it is what the config says.
    """
    found = {p.port for w in _workers(state) for p in w.ports if p.name == "http"}
    if len(found) > 1:
        raise MisconfiguredError(
            f"engine and decoder serve on different ports ({', '.join(map(str, sorted(found)))}); "
            "set the same `port` on both"
        )
    return found.pop() if found else options.worker_port
