"""Prints a model much as ``juju status`` does."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

_COLOURS = {"active": "green", "error": "red", "blocked": "red", "unknown": "dim"}
_WIDTH = 120


def cut(message: str) -> str:
    """Seen on a real Juju 4: the table cuts a message to 120 characters, ``...`` included."""
    return message if len(message) <= _WIDTH else message[: _WIDTH - 3] + "..."


def _status(name: str) -> Text:
    return Text(name, _COLOURS.get(name, "yellow"))


def _table(*columns: str) -> Table:
    # Text never wraps: a cell that is too long is clipped by the terminal, as juju's is.
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    return table


def status_table(status: dict[str, Any]) -> Group:
    """The tables of a model's `status()`, to print with rich."""
    apps = _table("App", "Version", "Status", "Scale", "Charm", "Message")
    units = _table("Unit", "Workload", "Message")
    relations = _table("Integration provider", "Requirer", "Interface", "Type", "Message")
    for name, app in status["applications"].items():
        scale = f"{len(app['units'])}/{app['scale']}"
        row = (name, app["version"], _status(app["status"]), scale, app["charm"])
        apps.add_row(*row, Text(cut(app["message"])))
        for unit_name, unit in app["units"].items():
            star = "*" if unit["leader"] else ""
            units.add_row(unit_name + star, _status(unit["status"]), Text(cut(unit["message"])))
    for relation in status["relations"]:
        kind = "peer" if relation["peer"] else "regular"
        state = "" if relation["status"] == "joined" else relation["status"]
        ends = relation["provider"], relation["requirer"]
        relations.add_row(*ends, relation["interface"], kind, state)
    title = Text(f"Model  {status['model']}", "bold")
    return Group(title, "", apps, "", units, "", relations)


def print_status(status: dict[str, Any], console: Console | None = None) -> None:
    """Print the tables."""
    (console or Console()).print(status_table(status))
