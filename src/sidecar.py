# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""The watcher's place: its files, its Pebble service and check in the container `watcher`.

Nothing here is needed for a right status, only for a prompt one: where Pebble does not answer, the
next pebble-ready or config-changed tries again, and update-status goes on telling the truth.
"""

import hashlib
import json
import logging
import os
from pathlib import Path

import ops
from ops import pebble

logger = logging.getLogger(__name__)

CONTAINER = "watcher"
SERVICE = "watcher"
CHECK = "group-ready"
FILES = ("watcher.py", "watch_api.py", "watch_meaning.py")
PORT = 8017
"""Of /ready, on the loopback of the pod."""
_WAKE = "wake"
_DUE = "rbg-k8s.charm/due"
_VERSION = "WATCH_VERSION"


def place(
    container: ops.Container,
    application: str,
    namespace: str,
    plural: str = "rolebasedgroups",
) -> None:
    """Have the watcher of this charm revision running; does nothing where it does.

    Args:
        container: the sidecar.
        application: the Juju application, which is also the group's name.
        namespace: the model's namespace.
        plural: what the group is on the cluster: `rolebasedgroups` or `rolebasedgroupsets`.
    """
    sources = {name: Path(__file__).with_name(name).read_text() for name in FILES}
    # The rig runs the containers of all units on one host, where /tmp and ports are not their own.
    home = os.environ.get("RBG_WATCHER_HOME", "/tmp")
    port = int(os.environ.get("RBG_WATCHER_PORT", PORT))
    environment = {
        "WATCH_APPLICATION": application,
        "WATCH_NAMESPACE": namespace,
        "WATCH_PLURAL": plural,
        "WATCH_PORT": str(port),
        "MALLOC_ARENA_MAX": "1",  # threads that hardly allocate need no heaps of their own
    }
    for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        if value := os.environ.get(name):
            environment[name] = value
    told = json.dumps([sources, environment, home, _layer("", {}, 0)], sort_keys=True)
    version = hashlib.sha256(told.encode()).hexdigest()[:12]
    directory = f"{home}/rbg-k8s-{version}"
    layer = _layer(directory, {**environment, _VERSION: version}, port)
    try:
        _make_so(container, directory, sources, layer, version)
    except (pebble.ConnectionError, FileNotFoundError):
        pass  # not there yet: its pebble-ready comes
    except (pebble.Error, OSError) as error:  # OSError: Pebble went while it was asked
        logger.warning("no watcher, update-status has to do: %s", error)


def wake_later(container: ops.Container, seconds: int) -> None:
    """Wake the charm once after so long; where that cannot be, update-status will do.

    Args:
        container: the sidecar.
        seconds: from now.
    """
    notify = f"exec ${{WATCH_PEBBLE:-/charm/bin/pebble}} notify {_DUE}"
    service: pebble.ServiceDict = {
        "override": "replace",
        "summary": "wakes the charm once",
        "command": f"sh -c 'sleep {seconds}; {notify}'",
        "startup": "disabled",
        "on-success": "ignore",
        "on-failure": "ignore",
    }
    try:
        container.add_layer(_WAKE, {"services": {_WAKE: service}}, combine=True)
        container.restart(_WAKE)
    except (pebble.Error, FileNotFoundError) as error:
        logger.warning("nothing wakes the charm before update-status: %s", error)


def _make_so(
    container: ops.Container,
    directory: str,
    sources: dict[str, str],
    layer: pebble.LayerDict,
    version: str,
) -> None:
    service = container.get_plan().services.get(SERVICE)
    planned = service is not None and service.environment.get(_VERSION) == version
    running = [s.is_running() for s in container.get_services(SERVICE).values()] == [True]
    # /tmp is new after the container restarted, whatever Pebble remembers.
    missing = [name for name in FILES if not container.exists(f"{directory}/{name}")]
    for name in missing:
        container.push(f"{directory}/{name}", sources[name], make_dirs=True)
    if not planned:
        container.add_layer("rbg-k8s", layer, combine=True)
    if not (planned and running):
        container.replan()


def _layer(directory: str, environment: dict[str, str], port: int) -> pebble.LayerDict:
    return {
        "summary": "the group's watcher",
        "services": {
            SERVICE: {
                "override": "replace",
                "summary": "wakes the charm when the group changes",
                # No site, no user site, no PYTHON* variables: a stock Python, small and the same.
                "command": f"python3 -ESs {directory}/watcher.py",
                "startup": "enabled",
                "environment": environment,
                # Above the watcher's REPEAT_AFTER, so that the notice of a new one always counts.
                "backoff-delay": "700ms",
                "backoff-limit": "5s",
            }
        },
        "checks": {
            # Without a level: Kubernetes' probes of this pod do not depend on the group.
            CHECK: {
                "override": "replace",
                "period": "3s",
                "timeout": "2s",
                "threshold": 2,
                "http": {"url": f"http://127.0.0.1:{port}/ready"},
            }
        },
    }
