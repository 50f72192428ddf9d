"""The LeaderWorkerSet controller, outside of the cluster it serves."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from .api import Api

Probe = Callable[[], bool]

_HOST = "127.0.0.1"
_PATH = "/apis/admissionregistration.k8s.io/v1/"
_RESOURCES = {
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
}


def prepare(
    run_dir: Path, api_certificate: Path, kubeconfig: Path, webhook_port: int, health_port: int
) -> list[str]:
    """Write the controller's configuration and return its flags.

    It serves its webhooks with the certificate that the API server made for itself: that one is
    valid for 127.0.0.1, and its authority is at hand.
    """
    certificates = run_dir / "lws"
    certificates.mkdir()
    shutil.copyfile(api_certificate, certificates / "tls.crt")
    key = certificates / "tls.key"
    key.touch(mode=0o600)
    shutil.copyfile(api_certificate.with_suffix(".key"), key)
    config = run_dir / "lws.yaml"
    config.write_text(
        json.dumps(
            {
                "apiVersion": "config.lws.x-k8s.io/v1alpha1",
                "kind": "Configuration",
                "internalCertManagement": {"enable": False},
                "leaderElection": {"leaderElect": False},
                "webhook": {"host": _HOST, "port": webhook_port, "certDir": str(certificates)},
                "metrics": {"bindAddress": "0"},
                "health": {"healthProbeBindAddress": f"{_HOST}:{health_port}"},
            }
        )
    )
    return [f"--config={config}", f"--kubeconfig={kubeconfig}", "--leader-elect=false"]


def ready(health_port: int, webhook_port: int) -> bool:
    """Tell whether the controller says that it is ready and its webhooks listen."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{_HOST}:{health_port}/readyz", timeout=5) as answer:
        if answer.status != 200:
            return False
    with socket.create_connection((_HOST, webhook_port), timeout=5):
        return True


def webhooks_called(api: Api) -> bool:
    """Tell whether the API server asks the controller about new objects: only then is it whole.

    It learns of the registrations a moment after they are made. The field asked for is one that
    only the webhook fills in.
    """
    group = {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": "probe"},
        "spec": {
            "leaderWorkerTemplate": {
                "size": 1,
                "workerTemplate": {"spec": {"containers": [{"name": "probe", "image": "probe"}]}},
            }
        },
    }
    path = "/apis/leaderworkerset.x-k8s.io/v1/namespaces/default/leaderworkersets"
    answer = api.post(path, group, dryRun="All")
    return answer["spec"].get("networkConfig", {}).get("subdomainPolicy") == "Shared"


def webhooks(manifest: Path, ca_file: Path, port: int) -> list[tuple[str, dict[str, Any]]]:
    """Return the controller's webhook registrations, pointed at this machine.

    The ones for pods are limited to pods of LeaderWorkerSets, as in the project's own deployment:
    no other pod should depend on this controller.
    """
    bundle = base64.b64encode(ca_file.read_bytes()).decode()
    found: list[tuple[str, dict[str, Any]]] = []
    for document in yaml.safe_load_all(manifest.read_text()):
        document["metadata"]["name"] = "lws-" + document["metadata"]["name"]
        for hook in document["webhooks"]:
            path = hook["clientConfig"]["service"]["path"]
            hook["clientConfig"] = {"url": f"https://{_HOST}:{port}{path}", "caBundle": bundle}
            if path.endswith("-v1-pod"):
                label = {"key": "leaderworkerset.sigs.k8s.io/name", "operator": "Exists"}
                hook["objectSelector"] = {"matchExpressions": [label]}
        found.append((_PATH + _RESOURCES[document["kind"]], document))
    return found
