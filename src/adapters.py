# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""RBG's scaling adapters: one that bound too early never gets a selector, and is made anew.

RBG reads the selector once, when the adapter binds. Where the role's workload had none yet, it
stays empty (`,…/component-index=0` of a multi-node role), and no autoscaler ever works (RBG 0.7: 2
of 18 roles made under load, trap 4; 0.8.0-alpha.5: 10 of 40). Deleting the adapter makes RBG bind
another one; the role's replicas stay.
"""

import logging
from collections.abc import Mapping, Sequence

from cluster import Cluster
from faults import Fault
from kubeapi import ADAPTER
from tree import Tree, leaf, name_of, roles_by_name, text, version_of
from workloads import live_kind

logger = logging.getLogger(__name__)


def bind(cluster: Cluster, group: Tree, bound: Sequence[str]) -> list[str]:
    """See that each autoscaled role has an adapter that works.

    Args:
        cluster: the cluster; asked only where a role is not known to be well.
        group: the group as it is.
        bound: what was returned last; [] at first.

    Returns:
        The group's uid and the roles whose adapter works now; [] where no role is autoscaled.
    """
    roles = roles_by_name(group)
    wanted = {n for n, r in roles.items() if leaf(r, "scalingAdapter", "enable")}
    uid = text(group, "metadata", "uid")
    known = set(bound[1:]) & wanted if uid in bound[:1] else set[str]()
    if wanted != known:
        version = version_of(group)
        kinds = {name: live_kind(roles[name], version) for name in wanted}
        try:
            known |= wanted & _working(cluster, group, kinds)
        except Fault as fault:
            logger.warning("the scaling adapters are looked at again by the next hook: %s", fault)
    return [uid, *sorted(known)] if wanted else []


def _working(cluster: Cluster, group: Tree, kinds: Mapping[str, str]) -> set[str]:
    works: set[str] = set()
    for adapter in cluster.adapters(group):
        role = text(adapter, "spec", "scaleTargetRef", "role")
        selector = text(adapter, "status", "selector")
        if selector and not selector.startswith(","):
            works.add(role)
        elif text(adapter, "status", "phase") == "Bound" and kinds.get(role) == "RoleInstanceSet":
            logger.warning("making the scaling adapter of %s anew: it has no selector", role)
            cluster.remove(ADAPTER, name_of(adapter), group["apiVersion"])
    return works
