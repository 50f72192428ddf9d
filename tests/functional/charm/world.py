# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""A model with the group charm and role charms, and what a test asks of the cluster."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightkube import ApiError
from lightkube.resources.core_v1 import Pod
from lightkube.types import PatchType

from kubeapi import resource
from rig import rbg
from rig.controlplane import until
from rig.juju import Model
from rig.juju.kubernetes import LightkubeKubernetes

ROOT = Path(__file__).parents[3]
CONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "x",
}
"""A kubeconfig of an API server that nobody runs."""
ROLE_CHARM = ROOT / "examples/sglang-k8s"


class World:
    """One group in one namespace."""

    def __init__(self, model: Model, cluster: Any, namespace: str):
        self.model, self.cluster, self.namespace = model, cluster, namespace
        self.client = cluster.client(namespace)

    @classmethod
    @contextlib.contextmanager
    def running(cls, cluster: Any, release: str = "v0.8") -> Iterator["World"]:
        """A world of its own namespace, with an RBG controller."""
        with (
            cluster.namespace() as name,
            rbg.controller(cluster, name, release),
            Model(
                name,
                LightkubeKubernetes(cluster.client(name), cluster.service_account_kubeconfig),
            ) as model,
        ):
            yield cls(model, cluster, name)

    def deploy(self, *, trust: bool = True, **roles: dict[str, Any]) -> None:
        """Deploy the group `llama` and role charms, each integrated with its endpoint."""
        self.model.deploy(ROOT, "llama", trust=trust, config={"model": "qwen"})
        for endpoint, config in roles.items():
            self.relate(endpoint, **config)
        self.model.settle()

    def relate(self, endpoint: str, **config: Any) -> str:
        """One more role charm, named after the endpoint."""
        app = f"{endpoint}-app"
        self.model.deploy(
            ROLE_CHARM, app, config={k.replace("_", "-"): v for k, v in config.items()}
        )
        self.model.integrate(f"{app}:role", f"llama:{endpoint}")
        return app

    @property
    def status(self) -> str:
        """The application's status as `kind: message`."""
        app = self.model.status()["applications"]["llama"]
        return f"{app['status']}: {app['message']}"

    def update(self) -> str:
        """One update-status on the group's units, and all that follows from it."""
        for unit in self.model.status()["applications"]["llama"]["units"]:
            self.model.emit(unit, "update-status")
        self.model.settle()
        return self.status

    def until(self, status: str, seconds: float = 60) -> None:
        """Wait for an exact status."""
        seen: list[str] = []

        def reached() -> bool:
            seen.append(self.update())
            return seen[-1] == status

        try:
            until(reached, f"status {status!r}", seconds, interval=0.2)
        except TimeoutError:
            raise AssertionError(f"wanted {status!r}, saw {list(dict.fromkeys(seen))}") from None

    def group(self, version: str = "v1alpha2") -> dict[str, Any]:
        """The RoleBasedGroup as it is."""
        kind = resource("RoleBasedGroup", f"workloads.x-k8s.io/{version}")
        return self.client.get(kind, "llama").to_dict()

    def edit(self, group: dict[str, Any]) -> None:
        """Write the RoleBasedGroup's spec as somebody else would."""
        kind = resource("RoleBasedGroup", group["apiVersion"])
        body = {"spec": group["spec"]}
        self.client.patch(kind, "llama", body, patch_type=PatchType.MERGE)

    def unreachable(self) -> None:
        """From now on the charm finds no API server where it looks for one."""
        file = Path(tempfile.mkdtemp(prefix="rbg-k8s-away-")) / "kubeconfig"
        file.write_text(json.dumps(CONFIG))
        self.model.env["KUBECONFIG"] = str(file)

    def pods(self, role: str) -> dict[str, Any]:
        """The role's pods by name."""
        labels = {"rbg-k8s.charm/group": "llama", "rbg-k8s.charm/role": role}
        return {p.metadata.name: p for p in self.client.list(Pod, labels=labels)}

    def delete(self, kind: str, name: str) -> None:
        """Delete an object as an administrator."""
        self.client.delete(resource(kind), name)

    def gone(self, kind: str, name: str) -> bool:
        """Whether an object is not there (any more)."""
        try:
            self.client.get(resource(kind), name)
        except ApiError as error:
            if error.status.code == 404:
                return True
            raise
        return False
