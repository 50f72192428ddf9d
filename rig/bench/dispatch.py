# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""One charm at rest, and what a dispatch of it costs."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rig import ROOT
from rig.bench.stubs import Stubs

if TYPE_CHECKING:
    from rig.embedded import EmbeddedCluster

TEMPLATE = {
    "spec": {
        "containers": [
            {
                "name": "serve",
                "image": "lmsysorg/sglang:v0.5.9",
                "args": ["--model-path", "qwen", "--host", "0.0.0.0", "--port", "8000"],
                "ports": [{"name": "http", "containerPort": 8000}],
                "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}},
                "resources": {"limits": {"memory": "1Gi"}},
                "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
            }
        ],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
    }
}


@dataclass
class Charm:
    """A charm directory with its stub hook tools.

    Attributes:
        source: where the charm is.
        stubs: its hook tools.
        environment: of each dispatch.
    """

    source: Path
    stubs: Stubs
    environment: dict[str, str] = field(default_factory=dict[str, str])

    def dispatch(self, event: str, *wrapper: str) -> str:
        """Run one hook; returns what it wrote to stderr."""
        home = self.stubs.directory.parent
        name = "bare" if self.source != ROOT else "llama"
        env = {
            "PATH": f"{self.stubs.directory}:{os.environ['PATH']}",
            "PYTHONPATH": f"{self.source}/lib:{self.source}/src",
            "HOME": str(home),
            "JUJU_CHARM_DIR": str(home / "charm"),
            "JUJU_DISPATCH_PATH": f"hooks/{event}",
            "JUJU_MODEL_NAME": "ml",
            "JUJU_MODEL_UUID": "0",
            "JUJU_UNIT_NAME": f"{name}/0",
            "JUJU_VERSION": "4.0.15",
            **self.environment,
        }
        command = [*wrapper, sys.executable, str(self.source / "src/charm.py")]
        done = subprocess.run(command, env=env, cwd=home, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{self.source.name} {event}: {done.stderr[-2000:]}")
        return done.stderr

    def cpu(self) -> float:
        """CPU seconds (user and system) of one idle hook and all its hook tools."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.dispatch("update-status")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def instructions(self) -> int | None:
        """Instructions of the charm's process in one idle hook; None without valgrind."""
        if not shutil.which("valgrind"):
            return None
        out = self.stubs.directory.parent / "callgrind"
        wrapper = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}")
        said = self.dispatch("update-status", *wrapper)
        collected = re.search(r"Collected : (\d+)", said)
        return int(collected[1]) if collected else None


def charm_dir(source: Path) -> Path:
    """A charm directory with the metadata of `source`, as Juju unpacks one."""
    home = Path(tempfile.mkdtemp(prefix="rbg-k8s-bench-"))
    (home / "charm").mkdir()
    for file in ("charmcraft.yaml", "config.yaml", "actions.yaml"):
        if (source / file).exists():
            shutil.copy(source / file, home / "charm")
    # A packed charm carries its metadata as metadata.yaml; ops reads that.
    shutil.copy(source / "charmcraft.yaml", home / "charm/metadata.yaml")
    return home


def bare() -> Charm:
    """The bare charm."""
    source = Path(__file__).parent / "bare"
    stubs = Stubs(charm_dir(source) / "tools")
    stubs.write()
    return Charm(source, stubs)


def at_rest(cluster: EmbeddedCluster, roles: int) -> Charm:
    """Our charm with so many roles applied, all their pods ready and everyone told."""
    stubs = Stubs(charm_dir(ROOT) / "tools")
    stubs.relate("group", 1, "peers")
    stubs.relate("engine", 2, "prefill", template=TEMPLATE)
    for i in range(roles - 1):
        stubs.relate("role", 100 + i, f"role-{i}", template=TEMPLATE)
    stubs.write()
    kubeconfig = str(cluster.service_account_kubeconfig("ml", "llama"))
    charm = Charm(ROOT, stubs, {"KUBECONFIG": kubeconfig})
    for _ in range(60):
        charm.dispatch("update-status")
        if not stubs.land() and stubs.active:
            return charm
        stubs.write()
        time.sleep(0.5)  # for the stand-in and the pods; nothing is timed here
    raise RuntimeError("the group does not come to rest")
