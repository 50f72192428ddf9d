"""What Juju itself makes on Kubernetes for each application, so that a charm's rights are real.

Seen on a real Juju 4: a StatefulSet and a service account named as the application, in the
namespace named as the model; a narrow Role; everything allowed once the application is trusted.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from lightkube import ApiError, Client
from lightkube.models.apps_v1 import StatefulSetSpec
from lightkube.models.core_v1 import Container, PodSpec, PodTemplateSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.models.rbac_v1 import PolicyRule, RoleRef, Subject
from lightkube.resources.apps_v1 import StatefulSet
from lightkube.resources.core_v1 import Namespace, ServiceAccount
from lightkube.resources.rbac_authorization_v1 import (
    ClusterRole,
    ClusterRoleBinding,
    Role,
    RoleBinding,
)
from lightkube.types import CascadeType, PatchType

_IMAGE = "docker.io/jujusolutions/charm-base:ubuntu-24.04"


class Kubernetes(Protocol):
    """What the model asks of a cluster; `app` is an application of the started model."""

    def start(self, model: str) -> None:
        """Make the model's namespace."""
        ...

    def deploy(self, app: str, replicas: int) -> None:
        """Make the service account, its Role, and a new StatefulSet."""
        ...

    def scale(self, app: str, replicas: int) -> None:
        """Set the StatefulSet's replicas."""
        ...

    def restart(self, app: str) -> None:
        """Change the pod template, as a refresh does: a new generation, the same uid."""
        ...

    def trust(self, app: str) -> None:
        """Allow the service account everything."""
        ...

    def distrust(self, app: str) -> None:
        """Take that back."""
        ...

    def remove(self, app: str) -> None:
        """Delete the StatefulSet in the background and all the rest."""
        ...

    def kubeconfig(self, app: str) -> Path:
        """The kubeconfig file of the application's service account."""
        ...


class LightkubeKubernetes:
    """`Kubernetes` by an administrator's lightkube client."""

    def __init__(self, client: Client, kubeconfig_for: Callable[[str, str], Path]):
        self._client: Any = client  # its overloads do not take a kind that is a variable
        self._kubeconfig_for = kubeconfig_for
        self._model = ""
        self._kubeconfigs: dict[str, Path] = {}

    def start(self, model: str) -> None:
        """Make the model's namespace."""
        self._model = model
        self._create(Namespace(metadata=ObjectMeta(name=model, labels=_labels(model))))

    def deploy(self, app: str, replicas: int) -> None:
        """Make the service account, its Role, and a new StatefulSet."""
        meta = ObjectMeta(name=app, namespace=self._model, labels=_labels(app))
        subject = Subject(kind="ServiceAccount", name=app, namespace=self._model)
        reference = RoleRef(apiGroup="rbac.authorization.k8s.io", kind="Role", name=app)
        self._create(ServiceAccount(metadata=meta))
        self._create(Role(metadata=meta, rules=_default_rules()))
        self._create(RoleBinding(metadata=meta, roleRef=reference, subjects=[subject]))
        # Seen on a real Juju 4: one that a forced removal left behind is replaced (new uid).
        self._delete(StatefulSet, app, self._model)
        self._create(_stateful_set(app, self._model, replicas))
        self._kubeconfigs.pop(app, None)

    def scale(self, app: str, replicas: int) -> None:
        """Set the StatefulSet's replicas."""
        self._patch(app, {"spec": {"replicas": replicas}})

    def restart(self, app: str) -> None:
        """Change the pod template, as a refresh does: a new generation, the same uid."""
        current = self._client.get(StatefulSet, app, namespace=self._model)
        assert current.metadata
        note = {"juju.rig/refreshed-from": str(current.metadata.generation)}
        self._patch(app, {"spec": {"template": {"metadata": {"annotations": note}}}})

    def trust(self, app: str) -> None:
        """Allow the service account everything."""
        name = f"{self._model}-{app}"  # seen on a real Juju 4
        meta = ObjectMeta(name=name, labels=_labels(app))
        every = PolicyRule(apiGroups=["*"], resources=["*"], verbs=["*"])
        urls = PolicyRule(nonResourceURLs=["*"], verbs=["*"])
        subject = Subject(kind="ServiceAccount", name=app, namespace=self._model)
        reference = RoleRef(apiGroup="rbac.authorization.k8s.io", kind="ClusterRole", name=name)
        self._create(ClusterRole(metadata=meta, rules=[every, urls]))
        self._create(ClusterRoleBinding(metadata=meta, roleRef=reference, subjects=[subject]))

    def distrust(self, app: str) -> None:
        """Take that back."""
        self._delete(ClusterRoleBinding, f"{self._model}-{app}")
        self._delete(ClusterRole, f"{self._model}-{app}")

    def remove(self, app: str) -> None:
        """Delete the StatefulSet in the background and all the rest."""
        self._delete(StatefulSet, app, self._model)
        self.distrust(app)
        for kind in (RoleBinding, Role, ServiceAccount):
            self._delete(kind, app, self._model)

    def kubeconfig(self, app: str) -> Path:
        """The kubeconfig file of the application's service account."""
        if app not in self._kubeconfigs:
            self._kubeconfigs[app] = self._kubeconfig_for(self._model, app)
        return self._kubeconfigs[app]

    def _create(self, item: Any) -> None:
        try:
            self._client.create(item)
        except ApiError as error:
            if error.status.reason != "AlreadyExists":
                raise

    def _patch(self, app: str, patch: dict[str, Any]) -> None:
        try:
            self._client.patch(
                StatefulSet, app, patch, namespace=self._model, patch_type=PatchType.MERGE
            )
        except ApiError as error:  # someone deleted it under us: Juju goes on too
            if error.status.code != 404:
                raise

    def _delete(self, kind: type[Any], name: str, namespace: str | None = None) -> None:
        where = {"namespace": namespace} if namespace else {}
        try:
            self._client.delete(kind, name, cascade=CascadeType.BACKGROUND, **where)
        except ApiError as error:
            if error.status.code != 404:
                raise


def _labels(app: str) -> dict[str, str]:
    return {"app.kubernetes.io/managed-by": "juju", "app.kubernetes.io/name": app}


def _default_rules() -> list[PolicyRule]:
    """Seen on a real Juju 4; note that it cannot even read its own StatefulSet."""
    return [
        PolicyRule(apiGroups=[""], resources=["namespaces"], verbs=["get", "list"]),
        PolicyRule(apiGroups=[""], resources=["pods", "services"], verbs=["get", "list", "patch"]),
        PolicyRule(apiGroups=[""], resources=["pods/exec"], verbs=["create"]),
    ]


def _stateful_set(app: str, namespace: str, replicas: int) -> StatefulSet:
    labels = {"app.kubernetes.io/name": app}
    pod = PodSpec(serviceAccountName=app, containers=[Container(name="charm", image=_IMAGE)])
    return StatefulSet(
        metadata=ObjectMeta(name=app, namespace=namespace, labels=_labels(app)),
        spec=StatefulSetSpec(
            replicas=replicas,
            podManagementPolicy="Parallel",
            serviceName=f"{app}-endpoints",
            selector=LabelSelector(matchLabels=labels),
            template=PodTemplateSpec(metadata=ObjectMeta(labels=labels), spec=pod),
        ),
    )
