# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The RBG controller of a run: our stand-in, a genuine binary, or the one your cluster has.

The tests are the same each time:

* by default our stand-in (`rig.standin`), honest about what it imitates;
* `RBG_CONTROLLER=/path/to/binary`: the genuine controller, started without webhooks;
* `KUBECONFIG=…`: a cluster of yours, which has its own.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rig.standin import StandIn

if TYPE_CHECKING:
    from rig.controlplane import Cluster


def genuine() -> str:
    """Path of the genuine controller, if one is to be used."""
    return os.environ.get("RBG_CONTROLLER", "")


@contextlib.contextmanager
def controller(cluster: Cluster, namespace: str, release: str = "v0.8") -> Iterator[None]:
    """Run the controller for as long as the context lasts.

    Args:
        cluster: where.
        namespace: the stand-in looks at this one only.
        release: what the stand-in plays, with all of its known faults.
    """
    if genuine():
        with _process(cluster):
            yield
    elif os.environ.get("KUBECONFIG"):
        yield
    else:
        with StandIn(cluster.kubeconfig(), release=release, namespace=namespace).running():
            yield


@contextlib.contextmanager
def _process(cluster: Cluster) -> Iterator[None]:
    command = [
        genuine(),
        f"--kubeconfig={cluster.kubeconfig()}",
        "--metrics-bind-address=0",
        "--health-probe-bind-address=0",
        "--enable-webhooks=none",
    ]
    log = Path(tempfile.mkdtemp(prefix="rbg-k8s-controller-")) / "controller.log"
    with log.open("w") as output:
        env = {**os.environ, "POD_NAMESPACE": "default"}
        process = subprocess.Popen(command, stdout=output, stderr=output, env=env)
        try:
            yield
            if process.poll() is not None:
                raise RuntimeError(f"{genuine()} ended by itself: {log.read_text()[-2000:]}")
        finally:
            process.terminate()
            process.wait(timeout=20)
