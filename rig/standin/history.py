"""The ControllerRevisions of a group: what it was, without its counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rig.standin import names
from rig.standin.names import NEW, Obj

if TYPE_CHECKING:
    from rig.standin.controller import Controller

_KEPT = 5


class History:
    """Writes and shortens the history of groups."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._kube = controller.kube
        self._release = controller.release

    async def record(self, rbg: Obj) -> None:
        """A revision for each new spec; counts do not matter.

        Only the newest is looked at: a spec that comes back gets a new number, and the older
        revision of the same content stays.
        """
        meta = rbg["metadata"]
        shape: Obj = {
            "roles": [{"$patch": "replace"}, *map(_recorded, rbg["spec"]["roles"])],
            "roleTemplates": [{"$patch": "replace"}, *rbg["spec"].get("roleTemplates", [])],
        }
        key = NEW + "group-revision" if self._release.modern else (
            self._release.prefix + "controller-revision-hash")  # fmt: skip
        revision = names.digest(shape)
        mine = self._mine(rbg)
        if mine and mine[-1]["metadata"]["labels"].get(key) == revision:
            return
        number = mine[-1]["revision"] + 1 if mine else 1
        await self._kube.create("rev", {
            "metadata": {
                "name": f"{meta['name']}-{revision}-{number}", "namespace": meta["namespace"],
                "labels": {self._release.prefix + self._release.group_label: meta["name"],
                           key: revision},
                "ownerReferences": names.owner(rbg),
            },
            "revision": number, "data": {"spec": shape},
        }, manager=self._release.manager("rolebasedgroup"))  # fmt: skip
        await self._controller.event(
            rbg, "Normal", "SucceedCreateRevision",
            "Successful create revision for RoleBasedGroup",
        )  # fmt: skip

    async def shorten(self, rbg: Obj) -> None:
        """Deletes the oldest; a group that waits for something keeps more for that time."""
        for old in self._mine(rbg)[:-_KEPT]:
            await self._kube.delete("rev", old)

    def _mine(self, rbg: Obj) -> list[Obj]:
        """The group's own, oldest first; its children's have the same labels."""
        meta = rbg["metadata"]
        mine = [
            rev for rev in self._kube.all("rev", meta["namespace"])
            if names.controller_of(rev).get("uid") == meta["uid"]
        ]  # fmt: skip
        return sorted(mine, key=lambda rev: rev["revision"])


def _recorded(role: Obj) -> Obj:
    """A role as a revision has it: no count, and nothing that is zero."""
    kept = {k: v for k, v in role.items() if not (k == "minReadySeconds" and v == 0)}
    return {**kept, "replicas": None}
