# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""RBG's scaling adapters: one that bound too early never gets a selector, and is made anew.

RBG reads the selector once, when the adapter binds. Where the role's workload had none yet, it
stays empty (`,…/component-index=0` of a multi-node role), and no autoscaler ever works (RBG 0.7: 2
of 18 roles made under load, trap 4; 0.8.0-alpha.5: 10 of 40). Deleting the adapter makes RBG bind
another one; the role's replicas stay.
"""

import logging
from collections.abc import Collection

from cluster import ADAPTER, Cluster
from faults import Fault
from tree import Tree, entries, leaf, name_of, text

logger = logging.getLogger(__name__)


def bind(cluster: Cluster, group: Tree, bound: Collection[str]) -> list[str]:
    """See that each autoscaled role has an adapter that works.

    Args:
        cluster: the cluster; asked only where a role is not known to be well.
        group: the group as it is.
        bound: roles whose adapter was seen to work.

    Returns:
        The roles whose adapter works now.
    """
    roles = entries(group, "spec", "roles")
    wanted = {r["name"] for r in roles if leaf(r, "scalingAdapter", "enable")}
    if wanted.issubset(bound):
        return sorted(wanted)
    works: set[str] = set()
    try:
        adapters = cluster.adapters(group)
    except Fault:
        return sorted(wanted & set(bound))  # the next hook asks again
    for adapter in adapters:
        role = text(adapter, "spec", "scaleTargetRef", "role")
        selector = text(adapter, "status", "selector")
        if selector and not selector.startswith(","):
            works.add(role)
        elif text(adapter, "status", "phase") == "Bound" and role in wanted:
            logger.warning("making the scaling adapter of %s anew: it has no selector", role)
            cluster.remove(ADAPTER, name_of(adapter), group["apiVersion"])
    return sorted(works & wanted)
