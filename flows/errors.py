"""What can go wrong in what a person writes; every text says where and what to do.

FlowsError
├── InvalidDefinition   a trigger, flow or task cannot be as written
├── TemplateError       a template is not allowed, or cannot be rendered for this event
├── LoadError           a flow file cannot be loaded
├── NotEmitted          an event was not acknowledged
└── TaskTimedOut        a task took longer than its timeout_s
"""

from collections.abc import Sequence


class FlowsError(Exception):
    """Base of all errors of this package."""


class InvalidDefinition(FlowsError, ValueError):
    """A definition cannot be used; `problems` has (path, sentence) of each fault found."""

    def __init__(self, what: str, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        lines = "; ".join(f"{path}: {text}" if path else text for path, text in self.problems)
        super().__init__(f"{what}: {lines}")


class TemplateError(FlowsError, ValueError):
    """A template is not allowed or cannot be rendered; the text quotes it."""


class LoadError(FlowsError):
    """A flow file cannot be loaded; `traceback` has the user's own frames only."""

    def __init__(self, message: str, *, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback


class NotEmitted(FlowsError):
    """An event was not acknowledged; nothing says that it was not stored, so retry it with the same id."""


class TaskTimedOut(FlowsError, TimeoutError):
    """A task took longer than its `timeout_s`."""
