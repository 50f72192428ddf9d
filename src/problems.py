# Copyright 2026 The rbg-k8s authors
# See LICENSE file for licensing details.

"""One thing that a person must put right before a role can be applied."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """A fault in what a related application (or the config) says.

    Attributes:
        application: the application whose data or config is at fault.
        role: the role held back by it; empty where it is not about one role.
        field: dotted path of the field at fault.
        reason: what is wrong and what to do, one sentence without a full stop.
    """

    application: str
    role: str
    field: str
    reason: str

    @property
    def of_config(self) -> bool:
        """Whether it is in our own config: then nothing is changed on the cluster."""
        return not self.role

    def __str__(self) -> str:
        """One line: application, field, reason."""
        who = self.application
        if self.role and self.role != who:
            who = f"{who} (role {self.role})"
        return ": ".join(part for part in (who, self.field, self.reason) if part)
