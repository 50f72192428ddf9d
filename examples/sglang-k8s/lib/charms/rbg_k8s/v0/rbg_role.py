# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The `rbg_role` interface: one role of an LLM inference group, said over a relation.

A *role charm* (engine, decoder, router, store …) provides `rbg_role` and says what its pods look
like; the *group charm* (`rbg-k8s`) requires it and answers with where the role stands and how the
other roles are found. Both directions live in the application databags, one JSON value per field.

Role charm (leader only writes)::

    class EngineCharm(ops.CharmBase):
        def __init__(self, framework):
            super().__init__(framework)
            self.role = RoleProvider(self, "role")
            framework.observe(self.role.on.role_changed, self._publish)
            framework.observe(self.on.config_changed, self._publish)

        def _publish(self, _):
            pod = serving_pod("lmsysorg/sglang:v0.5.9", ["--port", "8000"], gpus=8)
            self.role.publish(RoleSpec(template=pod, replicas=2))

Group charm: `RoleRequirer(relation).role()` reads and checks one related role,
`RoleRequirer(relation).answer(state)` tells it where it stands.

Unknown keys are tolerated in both directions; an unknown value of a known field is an error that
names the field. The library never sets a status. docs/rbg_role.md has every field and its default.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, TypeVar

import ops
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

LIBID = "5d3a0a1e7c7b4b1f9a53f2a7c1d6e8b4"
LIBAPI = 0
LIBPATCH = 1
PYDEPS = ["pydantic>=2.7,<3"]

INTERFACE = "rbg_role"
MAX_ROLE_BYTES = 256 * 1024
"""Limit of one role's databag: the whole group must fit into one Kubernetes object of 1.5 MB."""

MAX_DEPTH = 64
"""Limit of a value's nesting, so that nobody's recursion ends in a traceback."""

_PLAIN = re.compile(r"[A-Za-z0-9_./-]{1,80}")

# --- the schema, role charm → group charm ----------------------------------------------------

Percent = Annotated[str, Field(pattern=r"^(100|[1-9]?[0-9])%$")]
IntOrPercent = Annotated[int, Field(ge=0)] | Percent
"""Kubernetes' IntOrString: a count of replicas (2) or a share of them ("25%")."""


class _Wire(BaseModel):
    # Tolerant of unknown keys, so that an old group charm reads a newer role charm.
    model_config = ConfigDict(extra="ignore", frozen=True, use_enum_values=False)


class Workload(str, Enum):
    """The Kubernetes workload behind a role; `auto` follows the RBG release (see docs)."""

    AUTO = "auto"
    STATEFUL_SET = "StatefulSet"
    DEPLOYMENT = "Deployment"
    LEADER_WORKER_SET = "LeaderWorkerSet"
    ROLE_INSTANCE_SET = "RoleInstanceSet"


class UpdateType(str, Enum):
    """How RBG >=0.7 replaces a pod (`rollingUpdate.type`); `auto` leaves it to RBG."""

    AUTO = "auto"
    RECREATE_POD = "RecreatePod"
    IN_PLACE_IF_POSSIBLE = "InPlaceIfPossible"
    IN_PLACE_ONLY = "InPlaceOnly"


class Rollout(_Wire):
    """How a changed template reaches the pods (RBG `rolloutStrategy.rollingUpdate`).

    A whole role at once is `max_unavailable="100%"`.
    """

    type: UpdateType = UpdateType.AUTO
    max_unavailable: IntOrPercent | None = None
    max_surge: IntOrPercent | None = None
    partition: IntOrPercent | None = None
    """Ordinals below it keep the old template (a canary); must be less than the replicas."""


class RestartType(str, Enum):
    """What a restarted container means for the other pods (RBG `restartPolicy`)."""

    NONE = "None"
    RECREATE_INSTANCE = "RecreateRoleInstanceOnPodRestart"
    RECREATE_GROUP = "RecreateRBGOnPodRestart"  # RBG 0.3 to 0.6 only


class RestartPolicy(_Wire):
    """Restart policy with back-off; the delays need RBG >=0.8.0-alpha.5 and are left out below."""

    type: RestartType
    base_delay_seconds: int | None = Field(default=None, ge=0)
    max_delay_seconds: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> "RestartPolicy":
        low, high = self.base_delay_seconds, self.max_delay_seconds
        # CEL rule of RBG's CRD; 30 and 600 are its defaults (0.8.0-alpha.5).
        if (600 if high is None else high) < (30 if low is None else low):
            raise ValueError("max_delay_seconds must not be less than base_delay_seconds")
        return self


class ServiceSelects(str, Enum):
    """Which pods of a multi-node replica the role's headless Service selects."""

    ALL = "All"
    LEADER_ONLY = "LeaderOnly"


class MultiNode(_Wire):
    """One replica is several pods: a leader and `size - 1` workers.

    The patches are Kubernetes strategic-merge patches over the role's `template`.
    """

    size: int = Field(ge=1)
    """Pods per replica, the leader included."""
    leader_patch: dict[str, Any] = Field(default_factory=dict)
    worker_patch: dict[str, Any] = Field(default_factory=dict)
    service_selects: ServiceSelects | None = None
    restart_policy: RestartPolicy | None = None


class Component(_Wire):
    """One kind of pod of a custom multi-component replica (RBG `customComponentsPattern`)."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
    size: int = Field(default=1, ge=0)
    template: dict[str, Any]
    service_name: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Port(_Wire):
    """A port that the role's pods serve."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$")
    port: int = Field(ge=1, le=65535)
    protocol: str = Field(default="TCP", pattern="^(TCP|UDP|SCTP)$")


class Metrics(_Wire):
    """Where the role's pods serve Prometheus metrics."""

    port: int = Field(ge=1, le=65535)
    path: str = Field(default="/metrics", pattern="^/")


class Scaling(_Wire):
    """Bounds and metrics of an autoscaled role (`autoscaling/v2` metric and behaviour objects)."""

    min: int = Field(ge=0)
    max: int = Field(ge=1)
    metrics: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    behaviour: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ordered(self) -> "Scaling":
        if self.min > self.max:
            raise ValueError("min must not be more than max")
        return self


class EngineRuntime(_Wire):
    """A ClusterEngineRuntimeProfile whose sidecars RBG adds to the role's pods."""

    profile: str = Field(min_length=1)
    containers: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    """`args` and `env` added to the profile's containers of the same name."""


class PodManagement(str, Enum):
    """Whether a role's replicas start one after another or all at once (RBG >=0.7)."""

    ORDERED_READY = "OrderedReady"
    PARALLEL = "Parallel"


class RoleSpec(_Wire):
    """What a role charm says about its pods. Only `template` (or `components`) is required."""

    template: dict[str, Any] | None = None
    """A Kubernetes PodTemplateSpec."""
    replicas: int = Field(default=1, ge=0)
    multi_node: MultiNode | None = None
    components: list[Component] = Field(default_factory=list[Component])
    workload: Workload = Workload.AUTO
    start_after: list[str] = Field(default_factory=list[str])
    """Names of roles that must be ready before this one starts or is updated."""
    rollout: Rollout = Rollout()
    restart_policy: RestartPolicy | None = None
    """Of components, and of single pods up to RBG 0.6; `multi_node` has one of its own."""
    scaling: Scaling | None = None
    ports: list[Port] = Field(default_factory=list[Port])
    metrics: Metrics | None = None
    discovers: list[str] = Field(default_factory=list[str])
    """Names of roles whose pods it finds through the Kubernetes API."""
    engine_runtimes: list[EngineRuntime] = Field(default_factory=list[EngineRuntime])
    min_ready_seconds: int = Field(default=0, ge=0)
    pod_management: PodManagement | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_shape(self) -> "RoleSpec":
        if self.components and (self.template is not None or self.multi_node):
            raise ValueError("components stand alone: leave out template and multi_node")
        if not self.components and self.template is None:
            raise ValueError("template is missing")
        if self.multi_node and self.restart_policy:
            raise ValueError("restart_policy: belongs into multi_node here")
        names = [c.name for c in self.components]
        if len(set(names)) < len(names):
            raise ValueError("components: every name must be used once only")
        for field, template in self._templates():
            if not _containers(template):
                raise ValueError(f"{field}: spec.containers must name at least one container")
            for path in _misshapen(template):
                raise ValueError(f"{field}.{path}: has the wrong shape for a pod template")
        return self

    def _templates(self) -> list[tuple[str, dict[str, Any]]]:
        if self.template is not None:
            return [("template", self.template)]
        return [(f"components.{c.name}.template", c.template) for c in self.components]


def _containers(template: Mapping[str, Any]) -> list[Any]:
    spec: Any = template.get("spec")
    containers: Any = spec.get("containers") if isinstance(spec, dict) else None  # pyright: ignore
    named = isinstance(containers, list) and all(
        isinstance(c, dict) and isinstance(c.get("name"), str)  # pyright: ignore
        for c in containers  # pyright: ignore
    )
    return containers if named else []  # pyright: ignore[reportUnknownVariableType]


def _misshapen(template: Mapping[str, Any]) -> list[str]:
    """Paths where labels, annotations or environment are no such thing.

    The group charm adds its own there, and what it cannot read it would have to leave out.
    """
    metadata: Any = template.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        return ["metadata"]
    found: list[str] = []
    for key in ("labels", "annotations"):
        if not isinstance((metadata or {}).get(key) or {}, dict):  # pyright: ignore
            found.append(f"metadata.{key}")
    for i, container in enumerate(_containers(template)):
        env: Any = container.get("env") or []
        if not isinstance(env, list) or not all(isinstance(e, dict) for e in env):  # pyright: ignore
            found.append(f"spec.containers[{i}].env")
    return found


# --- the schema, group charm → role charm ----------------------------------------------------


class RoleStatus(str, Enum):
    """Where a role stands; `reason` says why in one line."""

    UNKNOWN = "unknown"
    READY = "ready"
    UPDATING = "updating"
    WAITING = "waiting"
    BLOCKED = "blocked"


class PeerRole(_Wire):
    """Another role of the group, and how its pods are found."""

    role: str
    host: str = ""
    """DNS name of its headless Service inside the cluster; empty where it has none."""
    ports: list[Port] = Field(default_factory=list[Port])
    selector: dict[str, str] = Field(default_factory=dict)
    """Labels of all its pods, the same on every RBG release and workload."""
    leader_selector: dict[str, str] = Field(default_factory=dict)
    """Labels of the pods that serve: the leaders of a multi-node role, else all."""


class ModelStorage(_Wire):
    """A PersistentVolumeClaim that holds model weights."""

    claim: str
    mount_path: str = Field(default="/models", pattern="^/")


class ModelSettings(_Wire):
    """The model, as configured once on the group."""

    name: str = ""
    served_name: str = ""
    storage: ModelStorage | None = None


class RoleState(_Wire):
    """What the group charm tells a role charm."""

    group: str
    namespace: str
    role: str
    endpoint: str = ""
    """The endpoint of the group charm this role is related to: engine, decoder, router or role."""
    api_version: str = ""
    """RBG API version in use, e.g. workloads.x-k8s.io/v1alpha2; empty before the first apply."""
    desired: int = 0
    ready: int = 0
    updated: int = 0
    state: RoleStatus = RoleStatus.UNKNOWN
    reason: str = ""
    host: str = ""
    ports: list[Port] = Field(default_factory=list[Port])
    roles: list[PeerRole] = Field(default_factory=list[PeerRole])
    """Every other role of the group, by name."""
    model: ModelSettings = ModelSettings()

    def peer(self, role: str) -> PeerRole | None:
        """The other role of that name, if the group has one."""
        return next((r for r in self.roles if r.role == role), None)


# --- the wire --------------------------------------------------------------------------------


class RoleDataError(ValueError):
    """Relation data that cannot be used.

    Attributes:
        field: dotted path of the field at fault, e.g. `rollout.type`.
        reason: why, in a few words.
    """

    def __init__(self, field: str, reason: str):
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field, self.reason = field, reason


_Model = TypeVar("_Model", bound=_Wire)


def _read(model: type[_Model], databag: Mapping[str, str]) -> _Model:
    values: dict[str, Any] = {}
    for field in model.model_fields:
        if field in databag:
            try:
                values[field] = json.loads(databag[field])
            except (ValueError, RecursionError):
                raise RoleDataError(field, "is not JSON") from None
            _check_tree(field, values[field])
    try:
        return model.model_validate(values)
    except ValidationError as e:
        raise RoleDataError(*_first_error(e)) from None


def _check_tree(field: str, value: Any) -> None:
    """Refuse what Python's json takes and others choke on; Kubernetes needs some 20 levels."""
    todo: list[tuple[Any, int]] = [(value, 0)]
    while todo:
        item, depth = todo.pop()
        if depth > MAX_DEPTH:
            raise RoleDataError(field, f"is nested deeper than {MAX_DEPTH} levels")
        if isinstance(item, float) and not math.isfinite(item):
            raise RoleDataError(field, "is not JSON")  # NaN, Infinity, 1e999
        if isinstance(item, str) and any("\ud800" <= c <= "\udfff" for c in item):
            raise RoleDataError(field, "has half a character (a lone surrogate)")
        if isinstance(item, (dict, list)):
            inner: Any = (*item, *item.values()) if isinstance(item, dict) else item  # pyright: ignore
            todo += [(i, depth + 1) for i in inner]


_SHOWN = ("enum", "string_pattern_mismatch", "greater_than_equal", "less_than_equal")


def _first_error(error: ValidationError) -> tuple[str, str]:
    errors = [(_path(e["loc"]), e) for e in error.errors(include_url=False, include_context=False)]
    path, first = errors[0]
    if isinstance(first["input"], str):  # of IntOrPercent, the branch for strings says more
        patterns = (e for p, e in errors if p == path and e["type"] == "string_pattern_mismatch")
        first = next(patterns, first)
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] in _SHOWN:
        shown = json.dumps(first["input"])
        reason = f"{shown[:40]} is not valid: {reason[0].lower()}{reason[1:]}"
    return path, " ".join(reason.split())


def _path(loc: tuple[int | str, ...]) -> str:
    parts = [str(p) for p in loc if not _union_branch(p)]
    # Keys of labels are anything at all: quoted, they stay on one line and short.
    return ".".join(p if _PLAIN.fullmatch(p) else json.dumps(p)[:40] for p in parts)


def _union_branch(part: int | str) -> bool:
    # pydantic names the branch of a union (IntOrPercent) in the path: no field of ours.
    return isinstance(part, str) and (part == "int" or part.startswith("constrained-"))


def _write(model: _Wire) -> dict[str, str]:
    # Sorted and compact: the same value gives the same bytes, so nobody is woken for nothing.
    dumped = model.model_dump(mode="json", exclude_defaults=True)
    return {k: json.dumps(v, sort_keys=True, separators=(",", ":")) for k, v in dumped.items()}


def read_role(databag: Mapping[str, str]) -> RoleSpec:
    """Read one role from a role charm's application databag.

    Raises:
        RoleDataError: a value is not JSON, has the wrong type or is unknown, or all is too large.
    """
    for field in RoleSpec.model_fields:
        if len(databag.get(field, "")) > MAX_ROLE_BYTES:
            raise RoleDataError(field, f"is larger than {MAX_ROLE_BYTES // 1024} KiB")
    return _read(RoleSpec, databag)


def _sync(bag: "ops.RelationDataContent", wanted: Mapping[str, str], known: Mapping[str, Any]):
    """Write what differs; a key of the schema that is no longer said is taken back."""
    changed = False
    for key in known:
        if key not in wanted and key in bag:
            del bag[key]
            changed = True
    for key, value in wanted.items():
        if bag.get(key) != value:
            bag[key] = value
            changed = True
    return changed


# --- the two ends ----------------------------------------------------------------------------


class RoleChangedEvent(ops.EventBase):
    """The group charm said something new about the role, or the relation came or went."""


class _RoleProviderEvents(ops.ObjectEvents):
    role_changed = ops.EventSource(RoleChangedEvent)


class RoleProvider(ops.Object):
    """The role charm's end: publish a role, read back where it stands."""

    on = _RoleProviderEvents()  # pyright: ignore[reportAssignmentType]

    def __init__(self, charm: ops.CharmBase, relation_name: str = "role"):
        super().__init__(charm, f"rbg-role-{relation_name}")
        self._charm, self._name = charm, relation_name
        events = charm.on[relation_name]
        for event in (events.relation_created, events.relation_changed, events.relation_broken):
            self.framework.observe(event, self._on_relation)

    def _on_relation(self, _: ops.EventBase):
        self.on.role_changed.emit()

    @property
    def related(self) -> bool:
        """Whether a group charm is related."""
        return bool(self._charm.model.relations[self._name])

    def publish(self, spec: RoleSpec) -> None:
        """Say what the role's pods look like; does nothing on a unit that is not the leader.

        Raises:
            RoleDataError: the role is larger than the interface allows.
        """
        if not self._charm.unit.is_leader():
            return
        wanted = _write(spec)
        for key, value in wanted.items():
            if len(value) > MAX_ROLE_BYTES:
                raise RoleDataError(key, f"is larger than {MAX_ROLE_BYTES // 1024} KiB")
        for relation in self._charm.model.relations[self._name]:
            _sync(relation.data[self._charm.app], wanted, RoleSpec.model_fields)

    @property
    def state(self) -> RoleState | None:
        """Where the role stands; None before the group charm has said anything readable."""
        # The newest first: a relation stays behind when the other side was removed by force.
        relations = self._charm.model.relations[self._name]
        for relation in sorted(relations, key=lambda r: r.id, reverse=True):
            bag = relation.data[relation.app]
            if "group" in bag:
                try:
                    return _read(RoleState, bag)
                except RoleDataError:
                    return None
        return None


class RoleRequirer:
    """The group charm's end of one relation. Observe ops' own relation events for changes."""

    def __init__(self, relation: ops.Relation, app: ops.Application):
        self._relation, self._app = relation, app

    def role(self) -> RoleSpec:
        """The related role.

        Raises:
            RoleDataError: the role charm's data cannot be used.
        """
        return read_role(self._relation.data[self._relation.app])

    def answer(self, state: RoleState) -> bool:
        """Tell the role charm where its role stands (leader only); True where that was news."""
        return _sync(self._relation.data[self._app], _write(state), RoleState.model_fields)


# --- helpers for the common pod --------------------------------------------------------------


def serving_pod(
    image: str,
    args: Sequence[str] = (),
    *,
    name: str = "serve",
    command: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    ports: Mapping[str, int] | None = None,
    gpus: int = 0,
    gpu_resource: str = "nvidia.com/gpu",
    resources: Mapping[str, str] | None = None,
    shared_memory: str = "",
    storage: ModelStorage | None = None,
    health_path: str = "/health",
    start_seconds: int = 900,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A PodTemplateSpec with one serving container: the common pod in one call.

    Args:
        image: container image.
        args: arguments; `$(LEADER_ADDRESS)`, `$(GROUP_SIZE)` and `$(WORKER_INDEX)` may be used.
        name: container name.
        command: replaces the image's entry point.
        env: environment, name to value.
        ports: port name to number; the first one is probed. Default `{"http": 8000}`.
        gpus: count of `gpu_resource` per pod, as request and limit.
        gpu_resource: extended resource of the GPUs.
        resources: further requests and limits, e.g. `{"memory": "64Gi", "rdma/hca": "1"}`.
        shared_memory: size of /dev/shm, e.g. `16Gi`; empty leaves the container runtime's 64 MiB.
        storage: claim with the model weights, mounted read-only.
        health_path: HTTP path of the probes on the first port; empty means no probes.
        start_seconds: how long the server may take to load its model before it is restarted.
        labels: further pod labels.
        annotations: further pod annotations.

    Returns:
        The template as plain dicts, free to be changed further.
    """
    ports = {"http": 8000} if ports is None else ports
    container: dict[str, Any] = {"name": name, "image": image}
    lists = {
        "command": list(command),
        "args": list(args),
        "env": [{"name": k, "value": v} for k, v in (env or {}).items()],
        "ports": [{"name": k, "containerPort": v} for k, v in ports.items()],
    }
    container |= {field: value for field, value in lists.items() if value}
    amounts = dict(resources or {}) | ({gpu_resource: str(gpus)} if gpus else {})
    if amounts:
        container["resources"] = {"requests": amounts, "limits": dict(amounts)}
    if ports and health_path:
        container |= _probes(health_path, next(iter(ports)), start_seconds)
    volumes, mounts = _volumes(shared_memory, storage)
    spec: dict[str, Any] = {"containers": [container]}
    if volumes:
        spec["volumes"], container["volumeMounts"] = volumes, mounts
    said = {"labels": dict(labels or {}), "annotations": dict(annotations or {})}
    metadata = {name: value for name, value in said.items() if value}
    return {"metadata": metadata, "spec": spec} if metadata else {"spec": spec}


def _volumes(
    shared_memory: str, storage: ModelStorage | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []
    if shared_memory:
        memory = {"medium": "Memory", "sizeLimit": shared_memory}
        volumes.append({"name": "shm", "emptyDir": memory})
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})
    if storage:
        claim = {"claimName": storage.claim, "readOnly": True}
        volumes.append({"name": "model", "persistentVolumeClaim": claim})
        mounts.append({"name": "model", "mountPath": storage.mount_path, "readOnly": True})
    return volumes, mounts


def _probes(path: str, port: str, start_seconds: int) -> dict[str, Any]:
    # No liveness probe: a slow answer under load must not cost a loaded model.
    get = {"httpGet": {"path": path, "port": port}}
    startup = {"periodSeconds": 6, "failureThreshold": max(1, start_seconds // 6)}
    return {
        "startupProbe": {**get, **startup, "timeoutSeconds": 5},
        "readinessProbe": {**get, "periodSeconds": 10, "timeoutSeconds": 5},
    }
