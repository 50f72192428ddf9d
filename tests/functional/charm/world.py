# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""A model with the group charm and role charms, and what a test asks of the cluster."""

from pathlib import Path
from typing import Any

from lightkube import ApiError
from lightkube.resources.core_v1 import Pod

from cluster import _resource
from rig.controlplane import until
from rig.juju import Model

ROOT = Path(__file__).parents[3]
ROLE_CHARM = ROOT / "examples/sglang-k8s"


class World:
    """One group in one namespace."""

    def __init__(self, model: Model, cluster: Any, namespace: str):
        self.model, self.cluster, self.namespace = model, cluster, namespace
        self.client = cluster.client(namespace)

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
        kind = _resource("RoleBasedGroup", f"workloads.x-k8s.io/{version}")
        return self.client.get(kind, "llama").to_dict()

    def pods(self, role: str) -> dict[str, Any]:
        """The role's pods by name."""
        labels = {"rbg-k8s.charm/group": "llama", "rbg-k8s.charm/role": role}
        return {p.metadata.name: p for p in self.client.list(Pod, labels=labels)}

    def gone(self, kind: str, name: str) -> bool:
        """Whether an object is not there (any more)."""
        try:
            self.client.get(_resource(kind), name)
        except ApiError as error:
            if error.status.code == 404:
                return True
            raise
        return False
