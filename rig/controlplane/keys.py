"""Secrets of one run: the key that signs service account tokens, and the users' tokens."""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path

# The order of the NIST curve P-256: a private key is any number from 1 to just below it.
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

# user -> group. Those without one have the rights that Kubernetes' own roles give to their name.
USERS = {
    "admin": "system:masters",
    "kwok": "system:masters",
    "lws": "system:masters",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
}


def write_signing_key(path: Path) -> None:
    """Write a fresh P-256 private key (RFC 5915, PEM).

    The RFC lets the public half be left out, since it follows from the private one, and Go
    computes it when it reads the file. So a random number in a fixed frame is a whole key, and
    neither openssl nor a Python package is needed to make one.
    """
    number = (secrets.randbelow(_P256_ORDER - 1) + 1).to_bytes(32, "big")
    body = b"\x02\x01\x01" + b"\x04\x20" + number  # version 1, the private key
    body += b"\xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"  # [0] object id of P-256
    text = base64.encodebytes(b"\x30" + bytes([len(body)]) + body).decode()
    write_secret(path, f"-----BEGIN EC PRIVATE KEY-----\n{text}-----END EC PRIVATE KEY-----\n")


def write_tokens(path: Path) -> dict[str, str]:
    """Write the API server's token file; return each user's token."""
    tokens = {user: secrets.token_urlsafe(24) for user in USERS}
    lines = [f'{token},{user},{user},"{USERS[user]}"' for user, token in tokens.items()]
    write_secret(path, "\n".join(lines) + "\n")
    return tokens


def write_kubeconfig(
    path: Path, url: str, ca: Path | bytes, token: str, namespace: str = "default"
) -> Path:
    """Write a kubeconfig (as JSON, which is YAML too) for one user with a token."""
    trust: dict[str, str] = (
        {"certificate-authority": str(ca)}
        if isinstance(ca, Path)
        else {"certificate-authority-data": base64.b64encode(ca).decode()}
    )
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": url, **trust}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [
            {
                "name": "test",
                "context": {"cluster": "test", "user": "test", "namespace": namespace},
            }
        ],
        "current-context": "test",
    }
    write_secret(path, json.dumps(content, indent=1))
    return path


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.touch(mode=0o600)
    path.write_text(text)
