"""A Kubernetes control plane on 127.0.0.1: the real programs, with KWOK in place of the nodes."""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from . import build, crds, lws, nodes
from .api import Api, ApiStatus, Object
from .cluster import Cluster
from .keys import write_kubeconfig, write_signing_key, write_tokens
from .processes import Process, StartError, free_ports
from .wait import until

if TYPE_CHECKING:
    from typing_extensions import Self

# What the tests' objects need; the rest would only cost start-up time and memory.
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "persistentvolume-binder-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "statefulset-controller",
    "taint-eviction-controller",
    "ttl-after-finished-controller",
)
_HOST = "127.0.0.1"
_START_TIMEOUT = 120.0
# A port seen free can be taken before its program listens; then everything starts over.
_PORT_TAKEN = "address already in use"
_ATTEMPTS = 3


class ControlPlane(Cluster):
    """etcd, kube-apiserver, kube-controller-manager, kube-scheduler, KWOK and optionally LWS.

        with ControlPlane.start() as cluster:
            cluster.client().list(Node)

    Everything ends with `stop`, at the end of the interpreter, and (on Linux) when the thread that
    called `start` dies in whatever way. With `RBG_KEEP_RUN` set, the logs are kept.
    """

    def __init__(self, bin_dir: Path) -> None:
        super().__init__()
        self._bin = bin_dir
        self._processes: list[Process] = []
        self._installed: list[str] = []
        self._tokens: dict[str, str] = {}
        self._ports: dict[str, int] = {}
        self._stopped = False
        # How long the last start took, step by step; for the curious and for docs.
        self.timings: dict[str, float] = {}
        atexit.register(self.stop)

    @classmethod
    def start(cls, lws: bool = True) -> Self:
        """Build what is missing, start everything, and return when pods can be made.

        Args:
            lws: with the LeaderWorkerSet controller and its definition.

        Raises:
            BuildError: a program could not be built.
            StartError: a program did not come up; the message ends with its log.
        """
        bin_dir = build.ensure(build.KUBERNETES + (build.LWS if lws else ()))
        for attempt in range(1, _ATTEMPTS + 1):
            cluster = cls(bin_dir)
            try:
                cluster._start(lws)
            except BaseException as error:
                cluster.stop()
                if attempt == _ATTEMPTS or _PORT_TAKEN not in str(error):
                    raise
            else:
                return cluster
        raise AssertionError("unreachable")

    def stop(self) -> None:
        """Kill everything and remove the run directory. Safe to call twice."""
        if self._stopped:
            return
        self._stopped = True
        atexit.unregister(self.stop)
        # Nothing is kept, so nobody needs to say goodbye: the last started dies first.
        for process in reversed(self._processes):
            process.kill()
        super().stop()

    def _clean_up(self) -> None:
        if os.environ.get("RBG_KEEP_RUN"):
            print(f"control plane: logs kept in {self.run_dir}", file=sys.stderr)
        else:
            super()._clean_up()

    def restart_apiserver(self) -> None:
        """Kill the API server and start it again, on the same port and with the same data."""
        [old] = [process for process in self._processes if process.name == "kube-apiserver"]
        old.kill()
        self._processes.remove(old)
        self._start_apiserver()

    def kubeconfig(self) -> Path:
        """Return the kubeconfig of the user `admin`, who may do everything."""
        return self.run_dir / "admin.kubeconfig"

    @property
    def api(self) -> Api:
        """A plain JSON connection as administrator."""
        return Api(self.url, self.ca_file, self._tokens["admin"])

    @property
    def logs(self) -> dict[str, Path]:
        """The log of each program."""
        return {process.name: process.log for process in self._processes}

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each program."""
        return {process.name: process.pid for process in self._processes}

    def install_crds(self, source: Iterable[Path | Object]) -> None:
        """Create or replace definitions and wait until they are served."""
        self._installed += crds.install(self.api, source)

    def remove_crds(self) -> None:
        """Delete the definitions that `install_crds` made, with all objects of their kinds."""
        names, self._installed = list(dict.fromkeys(self._installed)), []
        crds.remove(self.api, names)

    def _schemas(self) -> Api:
        return self.api

    def _start(self, with_lws: bool) -> None:
        started = time.monotonic()

        def done(step: str) -> None:
            self.timings[step] = round(time.monotonic() - started, 2)

        names = ("etcd", "etcd-peer", "apiserver", "kwok", "lws-webhook", "lws-health")
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        write_signing_key(self.run_dir / "sa.key")
        self._tokens = write_tokens(self.run_dir / "tokens.csv")
        self._start_etcd()
        self._start_apiserver()
        done("apiserver")
        kubeconfigs = {
            user: write_kubeconfig(self._kubeconfig_of(user), self.url, self.ca_file, token)
            for user, token in self._tokens.items()
        }
        self._start_controllers(kubeconfigs)
        for node in nodes.objects():
            self.api.post("/api/v1/nodes", node)
        self._run("kwok", *nodes.kwok_flags(kubeconfigs["kwok"], self._ports["kwok"], self._share))
        if with_lws:
            self._start_lws(kubeconfigs["lws"])
            done("lws")
        self._until(self._nodes_ready, "nodes ready and without taints")
        self._await_default_account(self.client())
        done("ready")

    @property
    def _share(self) -> Path:
        return self._bin.parent / "share"

    def _kubeconfig_of(self, user: str) -> Path:
        return self.run_dir / f"{user.rpartition(':')[2]}.kubeconfig"

    def _start_etcd(self) -> None:
        clients = f"http://{_HOST}:{self._ports['etcd']}"
        peers = f"http://{_HOST}:{self._ports['etcd-peer']}"
        self._run(
            "etcd",
            "--name=default",
            f"--data-dir={self.run_dir / 'etcd'}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            "--unsafe-no-fsync",  # the data lives as long as the process
            "--log-level=warn",
            "--max-request-bytes=8388608",  # RBG's definitions are beyond the default
            "--quota-backend-bytes=2147483648",
        )

    def _start_apiserver(self) -> None:
        certificates = self.run_dir / "apiserver"
        key = self.run_dir / "sa.key"
        self.url = f"https://{_HOST}:{self._ports['apiserver']}"
        # It signs its own certificate; the file holds the authority as well.
        self.ca_file = certificates / "apiserver.crt"
        self._run(
            "kube-apiserver",
            f"--etcd-servers=http://{_HOST}:{self._ports['etcd']}",
            f"--bind-address={_HOST}",
            f"--secure-port={self._ports['apiserver']}",
            f"--advertise-address={_HOST}",
            "--endpoint-reconciler-type=none",  # else it complains about a loopback address
            f"--cert-dir={certificates}",
            f"--token-auth-file={self.run_dir / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--allow-privileged=true",
            "--profiling=false",
            "--event-ttl=1h",
        )
        self._until(self.ca_file.is_file, "certificate of the API server")
        self._until(self._api_ready, "API server ready")

    def _start_controllers(self, kubeconfigs: dict[str, Path]) -> None:
        self._run(
            "kube-controller-manager",
            f"--kubeconfig={kubeconfigs['system:kube-controller-manager']}",
            "--secure-port=0",
            "--leader-elect=false",
            # Each controller then has the rights that RBAC gives it, and no others.
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self.run_dir / 'sa.key'}",
            f"--root-ca-file={self.ca_file}",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            f"--controllers={','.join(CONTROLLERS)}",
            "--horizontal-pod-autoscaler-sync-period=1s",  # 15 s would be a test's patience
        )
        self._run(
            "kube-scheduler",
            f"--kubeconfig={kubeconfigs['system:kube-scheduler']}",
            "--secure-port=0",
            "--leader-elect=false",
        )

    def _start_lws(self, kubeconfig: Path) -> None:
        webhook, health = self._ports["lws-webhook"], self._ports["lws-health"]
        flags = lws.prepare(self.run_dir, self.ca_file, kubeconfig, webhook, health)
        crds.install(self.api, [self._share / "lws" / "crd.yaml"])
        self._run("lws-manager", *flags, env={"POD_NAMESPACE": "lws-system"})
        self._until(lambda: lws.ready(health, webhook), "LeaderWorkerSet controller ready")
        # Only now: until the controller answers, its webhooks would refuse what they guard.
        for path, hook in lws.webhooks(
            self._share / "lws" / "webhooks.yaml", self.ca_file, webhook
        ):
            self.api.post(path, hook)
        self._until(lambda: lws.webhooks_called(self.api), "LeaderWorkerSet webhooks called")

    def _run(self, name: str, *flags: str, env: dict[str, str] | None = None) -> None:
        # None of the user's environment: no proxy, no kubeconfig, no cloud account.
        clean = {"HOME": str(self.run_dir), "PATH": os.defpath, **(env or {})}
        self._processes.append(Process(name, [self._bin / name, *flags], self.run_dir, clean))

    def _until(self, probe: lws.Probe, what: str) -> None:
        def checked() -> bool:
            for process in self._processes:
                process.check()
            return probe()

        try:
            until(checked, what, _START_TIMEOUT, tolerate=(OSError, ApiStatus))
        except TimeoutError as error:
            last = self._processes[-1]
            raise StartError(f"{error}\nlast lines of {last.name}:\n{last.tail()}") from error

    def _api_ready(self) -> bool:
        return self.api.text("/readyz") == "ok"

    def _nodes_ready(self) -> bool:
        return all(nodes.ready(node) for node in self.api.get("/api/v1/nodes")["items"])
