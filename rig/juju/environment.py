"""The JUJU_* variables of a hook. Juju document: "Hook" (reference, "Hook execution")."""

from __future__ import annotations

from .records import Event, Unit, World


def juju_variables(world: World, unit: Unit, event: Event) -> dict[str, str]:
    """What Juju tells a hook by its environment."""
    env = {
        "JUJU_API_ADDRESSES": "10.1.0.1:17070",
        "JUJU_AVAILABILITY_ZONE": "",
        "JUJU_CHARM_DIR": str(unit.directory),
        "JUJU_DISPATCH_PATH": event.hook if event.action is not None else f"hooks/{event.hook}",
        "JUJU_HOOK_NAME": "" if event.action is not None else event.hook,
        "JUJU_MACHINE_ID": "",
        "JUJU_MODEL_NAME": world.name,
        "JUJU_MODEL_UUID": world.uuid,
        "JUJU_PRINCIPAL_UNIT": "",
        "JUJU_UNIT_NAME": unit.name,
        "JUJU_VERSION": "4.0.15",
    }
    if event.relation:
        endpoint = event.relation.endpoints[unit.app.name]
        hidden = event.hook.endswith("-broken") and "no-remote-app-in-broken" in world.quirks
        env |= {
            "JUJU_RELATION": endpoint,
            "JUJU_RELATION_ID": f"{endpoint}:{event.relation.id}",
            "JUJU_REMOTE_APP": "" if hidden else event.relation.other(unit.app.name),
            "JUJU_REMOTE_UNIT": event.remote,
        }
        if event.departing:
            env["JUJU_DEPARTING_UNIT"] = event.departing
    return env | event.env
