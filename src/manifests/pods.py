# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Version-neutral pods: what every role's templates get, on every RBG release and workload.

Role charms write `$(LEADER_ADDRESS)`, never `LWS_*` or `RBG_LWP_*`. RBG and LeaderWorkerSet put
their own variables in front of ours (RBG 0.7 mergeEnvVars, LWS 0.8 AddLWSVariables), so ours may
refer to them, and the role's own variables, which follow, may refer to ours. RBG 0.3 to 0.6 sort
the variables of a container by name: there, only arguments can refer to ours safely.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from charms.rbg_k8s.v0.rbg_role import Component, Workload
from group import Group, Role
from inputs import digest
from names import LEADER_LABEL, TEMPLATE_DIGEST, account, pod_labels, service
from tree import branch, entries, text, without_nulls

_Env = list[dict[str, Any]]
_LEADER = {LEADER_LABEL: "true"}


@dataclass(frozen=True)
class Pods:
    """A role's pod templates, ready to be put into either API version.

    Attributes:
        template: of every pod, or of both leader and workers before their patches.
        leader_patch: strategic-merge patch of the leader (multi-node roles).
        worker_patch: the same of the workers.
        components: templates by component name, in the role's order.
    """

    template: dict[str, Any] = field(default_factory=dict[str, Any])
    leader_patch: dict[str, Any] = field(default_factory=dict[str, Any])
    worker_patch: dict[str, Any] = field(default_factory=dict[str, Any])
    components: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])


def pods(role: Role, group: Group) -> Pods:
    """The role's templates with labels, environment, service account and digest put in."""
    spec = role.spec
    labels = pod_labels(group.name, role.name)
    runs_as = account(group.name, role.name) if spec.discovers else ""
    if spec.components:
        made = {
            c.name: _template(
                c.template, labels | _LEADER, _component_env(c, role, group), runs_as
            )
            for c in spec.components
        }
        _stamp(_digest(role, made), *made.values())
        return Pods(components=made)
    base = spec.template or {}
    if spec.multi_node is None:
        template = _template(base, labels | _LEADER, _single_env(role, group), runs_as)
        _stamp(_digest(role, template), template)
        return Pods(template=template)
    env = _multi_node_env(role, group)
    template = _template(base, labels, env, runs_as)
    known = {c["name"] for c in template["spec"]["containers"]}
    leader = _patch(spec.multi_node.leader_patch, known, env)
    _label(leader, _LEADER)
    worker = _patch(spec.multi_node.worker_patch, known, env)
    _stamp(_digest(role, template, leader, worker, spec.multi_node.size), template)
    return Pods(template=template, leader_patch=leader, worker_patch=worker)


def _digest(role: Role, *made: Any) -> str:
    """Digest of all that makes a pod another one; RBG adds the sidecars of engine runtimes."""
    runtimes = [e.model_dump(mode="json") for e in role.spec.engine_runtimes]
    return digest([*made, runtimes])


def _named(role: Role, group: Group) -> _Env:
    # In a set RBG <=0.6 says GROUP_NAME itself, and ours would be the same for every group.
    called = [{"name": "GROUP_NAME", "value": group.called}] if group.called else []
    return [*called, {"name": "ROLE_NAME", "value": role.name}]


def _single_env(role: Role, group: Group) -> _Env:
    own_address = {"fieldRef": {"fieldPath": "status.podIP"}}
    return [
        *_named(role, group),
        {"name": "LEADER_ADDRESS", "valueFrom": own_address},
        {"name": "GROUP_SIZE", "value": "1"},
        {"name": "WORKER_INDEX", "value": "0"},
    ]


def _multi_node_env(role: Role, group: Group) -> _Env:
    source = "LWS" if role.workload is Workload.LEADER_WORKER_SET else "RBG_LWP"
    return [
        *_named(role, group),
        {"name": "LEADER_ADDRESS", "value": f"$({source}_LEADER_ADDRESS)"},
        {"name": "GROUP_SIZE", "value": f"$({source}_GROUP_SIZE)"},
        {"name": "WORKER_INDEX", "value": f"$({source}_WORKER_INDEX)"},
    ]


def _component_env(component: Component, role: Role, group: Group) -> _Env:
    """A replica of components has no leader of RBG's: the first component's first pod is it."""
    first = role.spec.components[0]
    host = first.service_name or service(group.called, role.name, prefixed=True)
    address = f"$(RBG_ROLE_INSTANCE_NAME)-{first.name}-0.{host}.{group.namespace}"
    return [
        *_named(role, group),
        {"name": "LEADER_ADDRESS", "value": address},
        {"name": "GROUP_SIZE", "value": str(component.size)},
        {"name": "WORKER_INDEX", "value": "$(RBG_COMPONENT_INDEX)"},
    ]


def _template(
    said: Mapping[str, Any], labels: Mapping[str, str], env: _Env, runs_as: str
) -> dict[str, Any]:
    template = without_nulls(said)
    _label(template, labels)
    for container in template["spec"]["containers"]:
        _add_env(container, env)
    if runs_as:
        template["spec"]["serviceAccountName"] = runs_as
    return template


def _patch(said: Mapping[str, Any], known: set[str], env: _Env) -> dict[str, Any]:
    """A patch whose new containers get the environment too; the template's have it already.

    Its nulls stay: in a strategic-merge patch they take a field away.
    """
    patch = copy.deepcopy(dict(said))
    for container in entries(patch, "spec", "containers"):
        if container["name"] not in known:
            _add_env(container, env)
    return patch


def _label(template: dict[str, Any], labels: Mapping[str, str]) -> None:
    labels = {**branch(template, "metadata", "labels"), **labels}
    template["metadata"] = {**branch(template, "metadata"), "labels": labels}


def _add_env(container: dict[str, Any], env: _Env) -> None:
    said = entries(container, "env")
    own = {text(e, "name") for e in said}
    container["env"] = [copy.deepcopy(e) for e in env if e["name"] not in own] + said


def _stamp(value: str, *templates: dict[str, Any]) -> None:
    for template in templates:
        said = branch(template, "metadata", "annotations")
        template["metadata"]["annotations"] = {**said, TEMPLATE_DIGEST: value}
