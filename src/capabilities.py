# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What the cluster's RBG understands, read from its CRD's schema and not from a version string."""

from dataclasses import dataclass

from tree import Tree, branch, entries, text

_PREFERRED = ("v1alpha2", "v1alpha1")

# Feature → path of properties inside one role's schema; the first RBG release that has it.
_V1ALPHA1 = {
    "partition": ("rolloutStrategy.rollingUpdate.partition", "0.4"),
    "scaling-adapter": ("scalingAdapter", "0.4"),
    "role-metadata": ("annotations", "0.5"),
    "min-ready-seconds": ("minReadySeconds", "0.5"),
    "role-templates": ("templateRef", "0.6"),
}
_V1ALPHA2 = {
    **{k: v for k, v in _V1ALPHA1.items() if k != "role-templates"},
    "multi-component": ("customComponentsPattern", "0.7"),
    "pod-management": ("podManagementPolicy", "0.7"),
    "service-selection": ("leaderWorkerPattern.sharedServiceSelection", "0.7"),
    "restart-delays": ("leaderWorkerPattern.restartPolicyConfig.baseDelaySeconds", "0.8"),
}
SINCE = {feature: since for feature, (_, since) in _V1ALPHA2.items()}
"""First RBG release with a feature, for messages."""


@dataclass(frozen=True)
class Api:
    """The RBG API in use.

    Attributes:
        version: "v1alpha1" (RBG 0.3 to 0.6) or "v1alpha2" (RBG >=0.7).
        features: names of what its schema has, e.g. "partition".
    """

    version: str
    features: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """One line, as stored on the group."""
        return " ".join([self.version, *sorted(self.features)])

    @classmethod
    def parse(cls, text: str) -> "Api | None":
        """Read back what `str` wrote; None from anything else."""
        version, *features = text.split() or [""]
        return cls(version, frozenset(features)) if version in _PREFERRED else None

    @property
    def keeps_revisions(self) -> bool:
        """Whether RBG makes ControllerRevisions of a group (RBG >=0.5)."""
        return self.prefixed_services

    @property
    def prefixed_services(self) -> bool:
        """Whether headless Services are named `s-<group>-<role>` (RBG >=0.5)."""
        return self.version == "v1alpha2" or "role-metadata" in self.features


def from_crd(crd: Tree) -> Api | None:
    """Choose the newest served version of RoleBasedGroup; None where none of ours is served."""
    served = {v["name"]: v for v in crd["spec"]["versions"] if v.get("served")}
    for version in _PREFERRED:
        if version in served:
            role = _role_schema(served[version])
            known = _V1ALPHA2 if version == "v1alpha2" else _V1ALPHA1
            has = frozenset(f for f, (path, _) in known.items() if _field(role, path))
            return Api(version, has)
    return None


def unusable(crd: Tree) -> str:
    """Why this RBG cannot be used at all; empty where it can.

    0.8.0-alpha.3 and alpha.4 had `restartPolicy` as an object, and RBG itself warns of them.
    """
    for version in crd["spec"]["versions"]:
        restart = _field(_role_schema(version), "leaderWorkerPattern.restartPolicy")
        if text(restart, "type") == "object":
            return "RBG 0.8.0-alpha.3 and alpha.4 cannot be used; install alpha.5 or later"
    return ""


def unconverted(crd: Tree) -> bool:
    """Whether groups stored as v1alpha1 cannot be read as v1alpha2.

    RBG's bare CRD files carry no conversion webhook; its Helm chart adds it. Without it a group
    stored by RBG <=0.6 comes back unconverted and never reconciles.
    """
    converts = text(crd, "spec", "conversion", "strategy") == "Webhook"
    stored = entries(crd, "status", "storedVersions")
    served = {v["name"] for v in crd["spec"]["versions"] if v.get("served")}
    return "v1alpha2" in served and "v1alpha1" in stored and not converts


def _role_schema(version: Tree) -> Tree:
    roles = _field(branch(version, "schema", "openAPIV3Schema"), "spec.roles")
    return branch(roles, "items")


def _field(schema: Tree, path: str) -> Tree:
    """Schema of a field; empty where there is none."""
    for name in path.split("."):
        schema = branch(schema, "properties", name)
    return schema
