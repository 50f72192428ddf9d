"""A watch: what is there, what happened since, what happens next."""

from __future__ import annotations

import asyncio

import aiohttp.web
import kmock

from rig.embedded.kinds import Kind
from rig.embedded.objects import Obj, StatusError
from rig.embedded.store import Event, Store
from rig.embedded.wire import line, matcher, seen_as, shown


async def watch(
    store: Store, request: kmock.Request, kind: Kind, version: str, namespace: str,
    present: list[Obj],
) -> aiohttp.web.StreamResponse:  # fmt: skip
    """Answers until the client goes or its time is up.

    Args:
        store: the objects.
        request: what was asked.
        kind: the type.
        version: the version to show it in.
        namespace: where, or everywhere.
        present: what there is now, for a client that has seen nothing yet.

    Raises:
        StatusError: 410 when the client's version is older than what is remembered.
    """
    matches = matcher(request)
    queue: asyncio.Queue[Event] = asyncio.Queue()
    since = int(request.params.get("resourceVersion") or 0)
    if since and store.log and store.log[0][0] > since + 1:
        raise StatusError(410, f"too old resource version: {since} ({store.log[0][0]})")
    backlog = [event for event in store.log if event[0] > since] if since else []
    response = aiohttp.web.StreamResponse(headers={"Content-Type": "application/json"})
    store.listeners.append(queue.put_nowait)
    try:
        raw = request._raw_request  # pyright: ignore[reportPrivateUsage]
        assert raw is not None
        await response.prepare(raw)
        for obj in [] if since else present:
            await response.write(line("ADDED", shown(obj, kind, version)))
        for event in backlog:
            queue.put_nowait(event)
        seconds = float(request.params.get("timeoutSeconds") or 3600)
        async with asyncio.timeout(seconds):
            while True:
                _, word, (gp, ns, _), obj, old = await queue.get()
                if gp != (kind.group, kind.plural) or (namespace and ns != namespace):
                    continue
                word = seen_as(word, matches(obj), old is not None and matches(old))
                if word:
                    await response.write(line(word, shown(obj, kind, version)))
    except (TimeoutError, ConnectionError):
        pass
    finally:
        store.listeners.remove(queue.put_nowait)
    return response
