# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""Names on the cluster: our labels and annotations, and what RBG calls its children."""

FIELD_MANAGER = "rbg-k8s"  # never changed between charm releases: it owns the applied fields

_PREFIX = "rbg-k8s.charm"
GROUP_LABEL = f"{_PREFIX}/group"
ROLE_LABEL = f"{_PREFIX}/role"
LEADER_LABEL = f"{_PREFIX}/leader"
"""`true` on pods that serve: every pod of a single-pod role, the leaders of a multi-node one."""
APPLICATION_LABEL = f"{_PREFIX}/application"
"""The Juju application that owns an object; what lacks it is not ours."""
TEMPLATE_DIGEST = f"{_PREFIX}/template-digest"
"""Annotation of pods: which template they were made from, so that "updated" is seen on the pod."""
APPLIED_DIGESTS = f"{_PREFIX}/applied"
"""Digest of each role, and of each neighbour as `<kind>/<name>`, as it was applied, as JSON."""
INPUTS_DIGEST = f"{_PREFIX}/inputs"
API_FEATURES = f"{_PREFIX}/api"
PIN = f"{_PREFIX}/pin"
"""Revision held by `rollout-undo`, and how many roles' changes wait behind it."""
RESTART_ENV = "RBG_K8S_RESTART"
"""Variable of a role's first container that a restart changes, so that its pods are replaced."""

RBG_GROUP = "workloads.x-k8s.io"
CRD_NAME = f"rolebasedgroups.{RBG_GROUP}"
WORKLOAD_TYPE = "rbg.workloads.x-k8s.io/role-workload-type"
"""Role annotation that RBG >=0.7 reads instead of v1alpha1's `workload`."""
DISCOVERY_MODE = "rbg.workloads.x-k8s.io/discovery-config-mode"
"""Group annotation by which RBG >=0.7 knows how to write the discovery ConfigMap."""

# RBG's own pod labels: (group name, role name) since 0.7, and up to 0.6.
RBG_POD_LABELS = (
    ("rbg.workloads.x-k8s.io/group-name", "rbg.workloads.x-k8s.io/role-name"),
    ("rolebasedgroup.workloads.x-k8s.io/name", "rolebasedgroup.workloads.x-k8s.io/role"),
)
ROLE_INSTANCE_LABEL = "rbg.workloads.x-k8s.io/role-instance-name"
LWS_GROUP_INDEX_LABEL = "leaderworkerset.sigs.k8s.io/group-index"

AUTOSCALERS = ("HorizontalPodAutoscaler", "ScaledObject")

MAX_ROLE_NAME = 44
"""RBG 0.5 and 0.6 put the role name into a label key behind `role-revision-hash-` (63 in all)."""
MAX_GROUP_AND_ROLE = 50
"""`<group>-<role>` plus `-<replica>-<pod>` must stay a host name of at most 63 characters."""


def child(group: str, role: str) -> str:
    """Name of a role's workload (RBG: cut to 63 since 0.5; we never let it come to that)."""
    return f"{group}-{role}"


def account(group: str, role: str) -> str:
    """Service account of a role that discovers others.

    Juju gives every application an account of the application's name; this is never one.
    """
    return f"{group}-{role}-discovery"


def service(group: str, role: str, *, prefixed: bool) -> str:
    """Name of a role's headless Service: `s-` prefixed since RBG 0.5."""
    return f"s-{group}-{role}" if prefixed else f"{group}-{role}"


def pod_labels(group: str, role: str) -> dict[str, str]:
    """Labels of ours on every pod of a role."""
    return {GROUP_LABEL: group, ROLE_LABEL: role}
