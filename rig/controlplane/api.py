"""A plain JSON client of the API server, standard library only.

For what lightkube does not offer: the schema documents, big definitions without decoding, strict
dry runs with the exact answer.
"""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.parse
from pathlib import Path
from typing import Any, cast

Object = dict[str, Any]


class ApiStatus(Exception):
    """The API server refused; `code` and `message` are its own."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Api:
    """Sends JSON to an API server with a bearer token."""

    def __init__(self, url: str, ca_file: Path, token: str, timeout: float = 60.0) -> None:
        parts = urllib.parse.urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 443)
        self._tls = ssl.create_default_context(cafile=str(ca_file))
        self._token = token
        self._timeout = timeout

    def get(self, path: str, **query: str) -> Object:
        """Read an object or a list."""
        return self._json("GET", path, None, query)

    def post(self, path: str, body: Object, **query: str) -> Object:
        """Create an object, for example with `dryRun="All", fieldValidation="Strict"`."""
        return self._json("POST", path, body, query)

    def put(self, path: str, body: Object, **query: str) -> Object:
        """Replace an object."""
        return self._json("PUT", path, body, query)

    def delete(self, path: str, **query: str) -> Object:
        """Delete an object."""
        return self._json("DELETE", path, None, query)

    def text(self, path: str) -> str:
        """Read a path that does not answer in JSON, such as /readyz."""
        return self._send("GET", path, None, {}).decode(errors="replace")

    def _json(self, method: str, path: str, body: Object | None, query: dict[str, str]) -> Object:
        return cast(Object, json.loads(self._send(method, path, body, query)))

    def _send(self, method: str, path: str, body: Object | None, query: dict[str, str]) -> bytes:
        host, port = self._address
        connection = http.client.HTTPSConnection(
            host, port, timeout=self._timeout, context=self._tls
        )
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json, */*"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(
                method,
                path + ("?" + urllib.parse.urlencode(query) if query else ""),
                body=None if body is None else json.dumps(body, separators=(",", ":")),
                headers=headers,
            )
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            raise ApiStatus(response.status, _message(content))
        return content


def has_condition(thing: Object, kind: str) -> bool:
    """Tell whether a condition of an object is true; without a status none is."""
    status = cast(Object, thing.get("status") or {})
    # Of a new definition the conditions are null, not a list.
    conditions = cast("list[Object]", status.get("conditions") or [])
    return any(one["type"] == kind and one["status"] == "True" for one in conditions)


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace").strip()
