# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""What Kubernetes' refusals mean for a person: wait, or do this. Pure."""

from dataclasses import dataclass

INSTALL_RBG = "RoleBasedGroup is not installed; install the RBG controller (0.3 or later)"
INSTALL_CONVERSION = (
    "RBG's conversion webhook is not installed; install the CRDs with RBG's Helm chart"
)


INSTALL_KEDA = "config autoscaler: KEDA is not installed; install it or set autoscaler=hpa"


@dataclass
class Fault(Exception):
    """Something that keeps the charm from its work on the cluster.

    Attributes:
        message: one line.
        blocked: whether a person must act; otherwise it heals and is retried at the next event.
    """

    message: str
    blocked: bool = False

    def __str__(self) -> str:
        """The message."""
        return self.message


class Invalid(Fault):
    """The API server refuses what an object says (400, 422): its author must put it right."""


def missing(kind: str, message: str) -> str:
    """What a person must do where the API server answers 404 about a kind."""
    if kind in ("RoleBasedGroup", "RoleBasedGroupSet"):
        return INSTALL_RBG
    return INSTALL_KEDA if kind == "ScaledObject" else message


def trust_command(application: str) -> str:
    """The exact command that gives the charm its rights (Juju: on Kubernetes, cluster scope)."""
    return f"juju trust {application} --scope=cluster"


def not_trusted(application: str) -> Fault:
    """The access review said no."""
    return Fault(f"not trusted; run `{trust_command(application)}`", blocked=True)


def from_status(code: int, message: str) -> Fault:
    """Translate an HTTP answer that is neither about trust nor about one role's fields.

    Args:
        code: HTTP status code.
        message: `Status.message` of the answer.
    """
    short = " ".join(message.split())[:200]
    if code == 500 and "field not declared in schema" in message:
        # Said by server-side apply of a field outside roles[]; it will not heal (trap 12).
        return Fault(f"the API server refuses the group: {short}", blocked=True)
    if code == 500 and "webhook" in message:
        return Fault("waiting for RBG's webhook: the RBG controller does not answer")
    if code == 409:
        return Fault("waiting: the group was changed by someone else at the same moment")
    if code == 429 or code >= 500:
        return Fault(f"waiting for the Kubernetes API server: it answers {code}")
    if code in (401, 403):
        return Fault(f"waiting for Kubernetes to grant access: {short}"[:120])
    if code == 422:
        return Invalid(f"the API server refuses the group: {short}", blocked=True)
    return Fault(f"the API server refuses the group: {short}", blocked=True)


def unreachable(reason: str) -> Fault:
    """The API server did not answer at all."""
    return Fault(f"waiting for the Kubernetes API server: {reason or 'no answer'}")
