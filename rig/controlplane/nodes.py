"""The nodes, which KWOK only plays: what they have, and how their pods behave (`stages/`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .api import has_condition

STAGES = Path(__file__).parent / "stages"
COUNT = 4
GPUS = 8
# A test makes a pod unschedulable by asking for more than one node has.
RESOURCES = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": str(GPUS)}


def objects() -> list[dict[str, Any]]:
    """Return the nodes kwok-0 to kwok-3, two to a rack."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": f"kwok-{number}",
                "labels": {
                    "kubernetes.io/hostname": f"kwok-{number}",
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": "amd64",
                    "rack": f"r{number * 2 // COUNT}",
                },
            },
            "status": {"capacity": RESOURCES, "allocatable": RESOURCES},
        }
        for number in range(COUNT)
    ]


def ready(node: dict[str, Any]) -> bool:
    """Tell whether pods can go there: the controller manager takes the taints off a bit later."""
    return has_condition(node, "Ready") and not node["spec"].get("taints")


def kwok_flags(kubeconfig: Path, port: int, share: Path) -> list[str]:
    """Return KWOK's flags: it has no stages of its own, so all come from files."""
    stages = sorted((share / "kwok").glob("*.yaml")) + sorted(STAGES.glob("*.yaml"))
    return [
        f"--kubeconfig={kubeconfig}",
        "--manage-all-nodes=true",
        "--cidr=10.244.0.0/16",
        "--node-ip=127.0.0.1",
        f"--server-address=127.0.0.1:{port}",
        "--node-lease-duration-seconds=40",
        *(f"--config={stage}" for stage in stages),
    ]
