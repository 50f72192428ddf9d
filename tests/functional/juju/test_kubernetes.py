"""When the model makes and deletes what Juju makes on Kubernetes."""

from pathlib import Path
from typing import Any, cast

import pytest
from lightkube import ApiError, Client
from lightkube.core.internal_models import meta_v1
from lightkube.types import CascadeType

from rig.juju import Model
from rig.juju.kubernetes import LightkubeKubernetes
from rig.juju.records import HookRecord

from .conftest import PLAIN


class Store:
    """The four calls of a lightkube client, on a dictionary."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}
        self.log: list[str] = []

    def _key(self, kind: Any, name: str) -> str:
        return f"{kind.__name__}/{name}"

    def _error(self, code: int, reason: str) -> ApiError:
        return ApiError(status=meta_v1.Status(code=code, reason=reason, message=reason))

    def create(self, item: Any) -> None:
        """Create an object."""
        key = self._key(type(item), item.metadata.name)
        if key in self.items:
            raise self._error(409, "AlreadyExists")
        self.items[key] = item
        self.log.append(f"+{key}")

    def get(self, kind: type[Any], name: str, namespace: str) -> Any:
        """Get an object."""
        return self.items[self._key(kind, name)]

    def patch(self, kind: type[Any], name: str, patch: Any, **_: Any) -> None:
        """Note a patch."""
        self.log.append(f"~{self._key(kind, name)} {patch['spec']}")

    def delete(self, kind: type[Any], name: str, *, cascade: CascadeType, **_: Any) -> None:
        """Delete an object."""
        assert cascade is CascadeType.BACKGROUND
        key = self._key(kind, name)
        if key not in self.items:
            raise self._error(404, "NotFound")
        del self.items[key]
        self.log.append(f"-{key}")


@pytest.fixture
def store() -> Store:
    """An empty cluster."""
    return Store()


def start(store: Store) -> Model:
    """A model on that cluster, its hooks in the cluster's log too."""
    cluster = LightkubeKubernetes(cast("Client", store), lambda ns, sa: Path(f"/{ns}/{sa}"))
    model = Model("m", kubernetes=cluster)
    model.before_hook = lambda record: store.log.append(record.hook)
    return model


def test_life(store: Store):
    with start(store) as model:
        model.deploy(PLAIN, "app", trust=True)
        assert store.log == [
            "+Namespace/m",
            "+ServiceAccount/app",
            "+Role/app",
            "+RoleBinding/app",
            "+StatefulSet/app",
            "+ClusterRole/m-app",
            "+ClusterRoleBinding/m-app",
        ]
        made = store.items["StatefulSet/app"]
        assert made.metadata.labels == {
            "app.kubernetes.io/managed-by": "juju",
            "app.kubernetes.io/name": "app",
        }
        assert (made.spec.serviceName, made.spec.podManagementPolicy) == (
            "app-endpoints",
            "Parallel",
        )
        model.settle()
        store.log.clear()
        model.distrust("app")
        model.settle()
        revoked = ["-ClusterRoleBinding/m-app", "-ClusterRole/m-app"]
        assert store.log == ["config-changed", *revoked, "config-changed"]
        store.log.clear()
        model.trust("app")
        model.settle()
        assert store.log[:2] == ["+ClusterRole/m-app", "+ClusterRoleBinding/m-app"]
        assert store.log[2:] == ["config-changed"] * 2
        store.log.clear()
        model.scale("app", 2)
        model.refresh("app")
        assert store.log[0] == "~StatefulSet/app {'replicas': 2}"
        assert "refreshed-from" in store.log[1]
        model.remove_application("app")
        model.settle()
        assert store.log.index("-StatefulSet/app") > store.log.index("remove")
        assert list(store.items) == ["Namespace/m"]


def test_force_leaves_the_stateful_set(store: Store):
    with start(store) as model:
        model.deploy(PLAIN, "app", trust=True)
        model.settle()
        model.remove_application("app", force=True, no_wait=True)
        model.settle()
        assert store.log[-1] == "~StatefulSet/app {'replicas': 0}"
        assert {"StatefulSet/app", "ClusterRole/m-app"} <= set(store.items)
        store.log.clear()
        model.deploy(PLAIN, "app")
        assert store.log == ["-StatefulSet/app", "+StatefulSet/app"]


@pytest.mark.parametrize("given", [True, False])
def test_kubeconfig(store: Store, given: bool):
    seen: list[str] = []

    def look(record: HookRecord) -> bool:
        environ = Path(f"/proc/{record.pid}/environ").read_bytes().decode().split("\0")
        seen.extend(e for e in environ if e.startswith("KUBECONFIG="))
        return True

    with start(store) if given else Model("m") as model:
        model.deploy(PLAIN, "app")
        model.kill = look
        model.settle(raise_on_error=False)
    if given:
        assert seen == ["KUBECONFIG=/m/app"]
    else:
        assert not Path(seen[0].removeprefix("KUBECONFIG=")).exists()
