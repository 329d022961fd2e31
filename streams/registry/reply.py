"""Answers in the registry's content type."""

from typing import Any

from starlette.responses import JSONResponse

from streams.registry.problem import RegistryProblem


class Reply(JSONResponse):
    """JSON as Confluent's clients expect it."""

    media_type = "application/vnd.schemaregistry.v1+json"


def problem_reply(refused: RegistryProblem) -> Reply:
    """Return the error document of a refusal."""
    return Reply({"error_code": refused.code, "message": refused.message}, status_code=refused.status)


def reply(value: Any) -> Reply:
    """Return a success."""
    return Reply(value)
