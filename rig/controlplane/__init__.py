"""A real Kubernetes control plane for tests, built from source once and started in seconds.

    with ControlPlane.start(lws=True) as cluster, cluster.namespace() as namespace:
        client = cluster.client(namespace)

`README.md` beside this file says what pods can be made to do.
"""

from .build import BuildError
from .cluster import Cluster, ExternalCluster
from .controlplane import ControlPlane
from .processes import StartError
from .wait import until

__all__ = ["BuildError", "Cluster", "ControlPlane", "ExternalCluster", "StartError", "until"]
