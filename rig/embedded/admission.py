"""What RBG's validating webhook refuses since 0.8, for clusters that shall have it.

    cluster.admit(admission.rbg(cluster.api.store))

Played on the embedded cluster only: a real API server wants a webhook of flesh and blood.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from rig.embedded.objects import Obj
from rig.standin.names import scaled

if TYPE_CHECKING:
    from rig.embedded.kinds import Kind
    from rig.embedded.store import Store

# The object before (None: a new one) and after; gives what is wrong with it.
Admission = Callable[["Kind", "Obj | None", Obj], "str | None"]
_GROUP = "workloads.x-k8s.io"
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def rbg(store: Store) -> Admission:
    """The rules of RBG 0.8 for RoleBasedGroups; adapters are looked up in ``store``."""

    def check(kind: Kind, old: Obj | None, new: Obj) -> str | None:
        if (kind.group, kind.plural) != (_GROUP, "rolebasedgroups"):
            return None
        wrong = [*_rollouts(new), *(_name(new) if old is None else _counts(store, old, new))]
        if not wrong:
            return None
        text = wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]"
        return f'admission webhook "vrolebasedgroup.kb.io" denied the request: {text}'

    return check


def _name(group: Obj) -> Iterator[str]:
    name = group["metadata"]["name"]
    if not _LABEL.fullmatch(name):
        yield f'metadata.name: "{name}" is not a valid DNS label'


def _rollouts(group: Obj) -> Iterator[str]:
    for index, role in enumerate(group["spec"].get("roles") or []):
        rolling: Any = (role.get("rolloutStrategy") or {}).get("rollingUpdate")
        replicas = role.get("replicas") or 0
        if rolling is None or replicas == 0:
            continue
        where = f"spec.roles[{index}].rolloutStrategy.rollingUpdate"
        surge = scaled(rolling.get("maxSurge", 0), replicas, up=True)
        if surge == 0 and scaled(rolling.get("maxUnavailable", 1), replicas) == 0:
            yield f"{where}: maxSurge and maxUnavailable cannot both be 0"
        # A percentage is rounded up here, although a RoleInstanceSet rounds it down.
        partition = scaled(rolling.get("partition", 0), replicas, up=True)
        if partition >= replicas:
            yield f"{where}.partition: {partition} must be less than replicas {replicas}"


def _counts(store: Store, old: Obj, new: Obj) -> Iterator[str]:
    """Another count than the adapter's, in a role that has one."""
    meta = new["metadata"]
    before = {role["name"]: role.get("replicas") for role in old["spec"]["roles"]}
    for index, role in enumerate(new["spec"]["roles"]):
        name, replicas = role["name"], role.get("replicas")
        enabled = (role.get("scalingAdapter") or {}).get("enable")
        if not enabled or name not in before or before[name] == replicas:
            continue
        adapter = f"{meta['name']}-{name}"
        key = ((_GROUP, "rolebasedgroupscalingadapters"), meta["namespace"], adapter)
        wanted = (store.objects.get(key) or {"spec": {}})["spec"].get("replicas")
        if wanted not in (None, replicas):
            yield (
                f'spec.roles[{index}].replicas (role "{name}"): cannot be changed to {replicas} '
                f'while scalingAdapter.enable is true and ScalingAdapter "{adapter}" has '
                f"spec.replicas {wanted}"
            )
