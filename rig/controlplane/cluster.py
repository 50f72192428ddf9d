"""What a test can ask of a cluster, whether this project started it or the user brought it."""

from __future__ import annotations

import abc
import base64
import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Generator, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import lightkube
from lightkube import ApiError, Client, KubeConfig
from lightkube.models.authentication_v1 import TokenRequestSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.core_v1 import Namespace, ServiceAccount, ServiceAccountToken

from rig.crds import documents, load, release_dir

from .api import Api, Object
from .keys import write_kubeconfig
from .wait import until

if TYPE_CHECKING:
    from typing_extensions import Self

FIELD_MANAGER = "test"


class Cluster(abc.ABC):
    """A cluster, seen as its administrator.

    Attributes:
        url: address of the API server.
        ca_file: certificate authority of the API server (PEM).
        run_dir: temporary directory that goes with `stop`.
    """

    def __init__(self) -> None:
        self.run_dir = Path(tempfile.mkdtemp(prefix="rbg-k8s-cluster-"))
        self.url = ""
        self.ca_file = self.run_dir / "ca.crt"
        self._clients: list[Client] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Let go of the cluster and remove the temporary files. Safe to call twice."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._clean_up()

    def _clean_up(self) -> None:
        shutil.rmtree(self.run_dir, ignore_errors=True)

    @abc.abstractmethod
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig."""

    @abc.abstractmethod
    def install_crds(self, source: Iterable[Path | Object]) -> None:
        """Make sure that definitions are served: files, or objects of `rig.crds.load`."""

    def install_release(self, directory: Path | None = None) -> None:
        """Make sure that RBG's definitions are served: by default those of `RBG_CRDS`, or v0.8."""
        self.install_crds(load(directory or release_dir(), self._schemas()))

    @abc.abstractmethod
    def remove_crds(self) -> None:
        """Remove every definition that `install_crds` of this object put there."""

    def client(self, namespace: str = "default") -> Client:
        """Return an administrator's lightkube client; `stop` closes it."""
        return self.client_for(self.kubeconfig(), namespace)

    def client_for(self, kubeconfig: Path, namespace: str | None = None) -> Client:
        """Return a lightkube client for any kubeconfig; `stop` closes it."""
        client = lightkube.Client(
            config=KubeConfig.from_file(kubeconfig),
            namespace=namespace,
            field_manager=FIELD_MANAGER,
            trust_env=False,  # a proxy of the machine must not come between
        )
        self._clients.append(client)
        return client

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """Return a kubeconfig of a service account, with a real token of the API server.

        The account is made when absent. It may do nothing until it is bound to a role.
        """
        client = self.client(namespace)
        try:
            client.create(ServiceAccount(metadata=ObjectMeta(name=name)))
        except ApiError as error:
            if error.status.code != 409:
                raise
        wanted = TokenRequestSpec(audiences=[], expirationSeconds=24 * 3600)
        answer = client.create(ServiceAccountToken(metadata=ObjectMeta(), spec=wanted), name)
        if answer.status is None or answer.status.token is None:
            raise RuntimeError(f"the API server gave no token for {namespace}/{name}")
        path = self.run_dir / f"{namespace}-{name}.kubeconfig"
        ca = self.ca_file.read_bytes()
        return write_kubeconfig(path, self.url, ca, answer.status.token, namespace)

    @contextlib.contextmanager
    def namespace(self, prefix: str = "test") -> Generator[str, None, None]:
        """Give a fresh namespace in which pods can be made, and delete it afterwards."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        client = self.client(name)
        client.create(Namespace(metadata=ObjectMeta(name=name)))
        try:
            self._await_default_account(client)
            yield name
        finally:
            # Not waited for: the names never come again.
            client.delete(Namespace, name)

    def _schemas(self) -> Api | None:
        """Where our own definitions get their pod template from, if they are to be installed."""
        return None

    @staticmethod
    def _await_default_account(client: Client) -> None:
        """Without it the API server refuses pods; the controller manager makes it a bit later."""
        until(
            lambda: client.get(ServiceAccount, "default"),
            f"service account default in {client.namespace}",
            tolerate=(ApiError,),
        )


class ExternalCluster(Cluster):
    """The cluster of a kubeconfig, by default the one that `KUBECONFIG` names."""

    def __init__(self, kubeconfig: Path | None = None) -> None:
        super().__init__()
        given = kubeconfig or Path(os.environ["KUBECONFIG"].split(os.pathsep)[0])
        self._kubeconfig = given.expanduser().resolve()
        single = KubeConfig.from_file(self._kubeconfig).get()
        if single is None:
            raise ValueError(f"{self._kubeconfig} has no current context")
        self.url = single.cluster.server
        if single.cluster.certificate_auth_data:
            self.ca_file.write_bytes(base64.b64decode(single.cluster.certificate_auth_data))
        elif single.cluster.certificate_auth:
            self.ca_file = Path(single.abs_file(single.cluster.certificate_auth))
        else:
            raise ValueError(f"{self._kubeconfig} names no certificate authority")

    def kubeconfig(self) -> Path:
        """Return the file that was given."""
        return self._kubeconfig

    def install_crds(self, source: Iterable[Path | Object]) -> None:
        """Check that the cluster has the definitions; this never changes a cluster of yours.

        Raises:
            RuntimeError: one of them is absent.
        """
        client = self.client()
        for item in source:
            for definition in documents(item) if isinstance(item, Path) else [item]:
                name = definition["metadata"]["name"]
                try:
                    client.get(CustomResourceDefinition, name)
                except ApiError as error:
                    raise RuntimeError(f"{self.url} has no {name}: {error}") from error

    def remove_crds(self) -> None:
        """Do nothing: none was put there."""
