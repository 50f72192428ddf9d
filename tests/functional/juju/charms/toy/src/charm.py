#!/usr/bin/env python3
"""A tiny charm: publishes a word and a secret, reads the other side's."""

import ops


class Toy(ops.CharmBase):
    """Publishes and reads, whatever the event."""

    _stored = ops.StoredState()

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self._stored.set_default(runs=0)
        for name, event in self.on.events().items():
            if not name.endswith("_action") and "collect" not in name and "commit" not in name:
                framework.observe(event, self._reconcile)
        framework.observe(self.on.report_action, self._report)
        framework.observe(self.on.crash_action, self._crash)
        framework.observe(self.on.collect_app_status, self._status)
        framework.observe(self.on.collect_unit_status, self._status)

    def _reconcile(self, _: ops.EventBase):
        self._stored.runs += 1
        for relation in self.model.relations["prov"] if self.unit.is_leader() else ():
            try:
                secret = self.model.get_secret(label="word")
            except ops.SecretNotFoundError:
                secret = self.app.add_secret({"word": str(self.config["word"])}, label="word")
            if secret.peek_content() != {"word": self.config["word"]}:
                secret.set_content({"word": str(self.config["word"])})
                secret.get_content(refresh=True)  # else this unit itself holds the old one
            secret.grant(relation)
            relation.data[self.app]["secret"] = secret.id or ""

    def _words(self):
        for relation in self.model.relations["link"]:
            if key := relation.data[relation.app].get("secret"):
                yield self.model.get_secret(id=key).get_content(refresh=True)["word"]

    def _status(self, event: ops.CollectStatusEvent):
        event.add_status(ops.ActiveStatus(" ".join(self._words())))

    def _report(self, event: ops.ActionEvent):
        event.log("looking")
        network = self.model.get_binding("mates")
        results = {
            "planned": self.app.planned_units(),
            "runs": self._stored.runs,
            "status": self.unit.status.message,
            "can-connect": self.unit.get_container("watcher").can_connect(),
            "model": {"name": self.model.name, "uuid": self.model.uuid},
            "address": str(network.network.bind_address) if network else "",
        }
        self.unit.set_ports(8080)
        self.unit.set_workload_version("1.2")
        results["ports"] = sorted(port.port or 0 for port in self.unit.opened_ports())
        if size := event.params["big"]:
            results["big"] = "x" * size
        event.set_results(results)

    def _crash(self, _: ops.ActionEvent):
        raise RuntimeError("as told")


if __name__ == "__main__":
    ops.main(Toy)
