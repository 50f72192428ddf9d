"""An embedded Kubernetes API for the demo: in process, ready in a second, needs no cluster.

It is kmock's server with a store that follows Kubernetes' rules as far as the charm can see
them, plus a scheduler, a kubelet and two workload controllers in miniature. ``EMULATED`` and
``NOT_EMULATED`` say what that covers; nothing is proved about Kubernetes by running on it.

kmock needs Python 3.11 or later.
"""

from rig.embedded.cluster import EMULATED, NOT_EMULATED, EmbeddedCluster

__all__ = ["EMULATED", "NOT_EMULATED", "EmbeddedCluster"]
