"""What can go wrong in the model, in the words of the ``juju`` command where it has words."""


class JujuError(Exception):
    """The ``juju`` command refuses; the text is what it prints, ``ERROR`` included."""

    def __init__(self, text: str):
        super().__init__(f"ERROR {text}")


class ActionRefusedError(JujuError):
    """Juju does not even start the action."""


class HookFailedError(Exception):
    """A hook left its unit in the error state; the text ends with what the charm said."""


class NotSettledError(Exception):
    """The hooks wake each other without end."""


class ToolError(Exception):
    """A hook tool refuses: exit code 1 and the text on its stderr."""
