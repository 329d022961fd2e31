"""Refusals with the status and error code that Confluent's clients know."""


class RegistryProblem(Exception):
    """An answer that is no success.

    Attributes:
        status: HTTP status.
        code: Confluent's error code; its first three digits are the status.

    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = code if code < 1000 else code // 100

    @property
    def message(self) -> str:
        """The sentence for a person."""
        return str(self)


def subject_not_found(subject: str) -> RegistryProblem:
    """Nothing was ever registered under this subject, or all of it was deleted."""
    return RegistryProblem(40401, f"Subject '{subject}' not found.")


def version_not_found(version: object) -> RegistryProblem:
    """The subject has no such version."""
    return RegistryProblem(40402, f"Version {version} not found.")


def schema_not_found(what: str = "Schema not found") -> RegistryProblem:
    """No such id, or this schema is not registered under the subject."""
    return RegistryProblem(40403, what)


def store_failed(why: object) -> RegistryProblem:
    """The topic did not take the write; nothing is known to have changed."""
    return RegistryProblem(50001, f"Error in the backend data store: {why}")


def timed_out(why: object) -> RegistryProblem:
    """The write was not read back in time; whether it is in the log is unknown, asking again is safe."""
    return RegistryProblem(50002, f"Operation timed out: {why}")


def not_the_writer(why: object) -> RegistryProblem:
    """Another registry process has taken the topic over."""
    return RegistryProblem(50003, f"This registry may only read: {why}")
