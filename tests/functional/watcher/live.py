# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""A unit of the charm with its sidecar alive: real Pebble, real watcher, real API server."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from lightkube.resources.core_v1 import Pod

from rig import rbg
from rig.controlplane.processes import free_ports
from rig.juju import Model
from rig.juju.kubernetes import LightkubeKubernetes
from rig.juju.pebbles import Pebbles
from tests.functional.charm.world import World
from tests.functional.watcher.proxy import Proxy

SMALL = {"gpus": 0, "shared_memory": ""}
UNIT, CONTAINER = "llama/0", "watcher"
RBG = "rbg.workloads.x-k8s.io"


class Live(World):
    """A world whose group has a watcher; the only hooks it gets are those the watcher brings."""

    def __init__(
        self,
        model: Model,
        cluster: Any,
        namespace: str,
        pebbles: Pebbles,
        proxy: Proxy,
        credentials: Path,
    ):
        super().__init__(model, cluster, namespace)
        self.pebbles, self.proxy, self.credentials = pebbles, proxy, credentials

    @property
    def status(self) -> str:
        """The unit's status as `kind: message`."""
        unit = self.model.status()["applications"]["llama"]["units"][UNIT]
        return f"{unit['status']}: {unit['message']}"

    @property
    def watcher(self) -> int:
        """Process id of the watcher."""
        for pid in self.pebbles.pids(UNIT, CONTAINER):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"watcher.py" in command:
                return pid
        raise LookupError("no watcher runs")

    @property
    def said(self) -> str:
        """What the watcher printed."""
        log = self.pebbles.log(UNIT, CONTAINER).read_text().splitlines()
        return "\n".join(line for line in log if "watcher: " in line)

    def rotate(self, token: str | None = None) -> None:
        """Give the watcher's pod another token: a new one of its account, unless told."""
        kubeconfig = self.cluster.service_account_kubeconfig(self.namespace, "llama")
        found = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"]
        # As the kubelet does it: never half a file.
        fresh = self.credentials / ".token"
        fresh.write_text(token or found)
        fresh.replace(self.credentials / "token")

    def shows(self, status: str, seconds: float = 60) -> float:
        """Run the hooks that come by themselves until the unit shows a status.

        Returns:
            Seconds it took.
        """
        began, seen = time.monotonic(), [self.status]
        while seen[-1] != status:
            if time.monotonic() > began + seconds:
                raise AssertionError(f"wanted {status!r}, saw {list(dict.fromkeys(seen))}")
            self.pebbles.deliver(self.model, 1.0)
            while seen[-1] != status and self.model.step():
                seen.append(self.status)
        took = time.monotonic() - began
        self.model.settle()  # what followed, of the role charm
        return took

    def quiet(self, seconds: float = 2.5) -> None:
        """Run hooks until none came for so long."""
        while self.pebbles.pump(self.model, seconds):
            pass

    def until_probe(self, probe: Callable[[], bool], seconds: float = 30) -> None:
        """Run hooks until something is the case."""
        end = time.monotonic() + seconds
        while not probe():
            assert time.monotonic() < end, "it did not come to that"
            self.pebbles.pump(self.model, 0.5)

    def add_pod(self, name: str, role: str = "engine") -> None:
        """A pod of a role that nobody but the test touches, as the group's template has it."""
        [spec] = [r for r in self.group()["spec"]["roles"] if r["name"] == role]
        template = copy.deepcopy(spec["standalonePattern"]["template"])
        meta = template["metadata"]
        meta["labels"] |= {f"{RBG}/group-name": "llama", f"{RBG}/role-name": role}
        body = {
            "metadata": {"name": name, **meta},
            "spec": {**template["spec"], "schedulerName": "nobody"},
        }
        self.client.create(Pod.from_dict(body))

    def say(self, name: str, *, ready: bool, restarts: int = 0, client: Any = None) -> None:
        """Write a pod's status as a kubelet would."""
        yes = "True" if ready else "False"
        state = {"running": {}} if ready else {"waiting": {"reason": "CrashLoopBackOff"}}
        container = {
            "name": "serve",
            "image": "x",
            "imageID": "x",
            "ready": ready,
            "restartCount": restarts,
            "state": state,
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
        }
        conditions = [{"type": kind, "status": yes} for kind in ("Ready", "ContainersReady")]
        status = {"phase": "Running", "conditions": conditions, "containerStatuses": [container]}
        (client or self.client).patch(Pod.Status, name, {"status": json.loads(json.dumps(status))})


@contextmanager
def living(
    cluster: Any,
    namespace: str,
    directory: Path,
    *,
    controller: bool = True,
    all_users: bool = True,
    **env: str,
) -> Iterator[Live]:
    """A world with a watcher for the unit `llama/0`.

    Args:
        cluster: the control plane.
        namespace: where, and the model's name.
        directory: for the watcher's files and credentials.
        controller: with an RBG controller; without one the group has only the test's own pods.
        all_users: False plays a Juju that drops the notices of a non-root workload.
        env: of the watcher.
    """
    credentials = directory / "credentials"
    credentials.mkdir()
    (credentials / "ca.crt").write_bytes(cluster.ca_file.read_bytes())
    kubernetes = LightkubeKubernetes(cluster.client(namespace), cluster.service_account_kubeconfig)
    proxy = Proxy(cluster.url)
    with ExitStack() as stack:
        stack.callback(proxy.close)
        if controller:
            stack.enter_context(rbg.controller(cluster, namespace))
        watcher_env = {"WATCH_CREDENTIALS": str(credentials), **env}
        pebbles = stack.enter_context(Pebbles(watcher_env, all_users=all_users))
        hooks_env = {
            **pebbles.environment,
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(proxy.port),
            "RBG_WATCHER_HOME": str(directory),
            "RBG_WATCHER_PORT": str(free_ports(1)[0]),
        }
        model = Model(
            namespace,
            kubernetes,
            env=hooks_env,
            pythonpath=pebbles.pythonpath,
            pebble=pebbles.there,
        )
        stack.callback(model.close)
        world = Live(model, cluster, namespace, pebbles, proxy, credentials)
        world.rotate()
        pebbles.start(UNIT, CONTAINER)
        yield world
