"""The description of the HTTP API says what the gateway serves, no more and no less."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from streams.gateway.openapi import DOCUMENT
from tests.gateway_case import GatewayCase
from tests.live_case import LiveCase

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]
METHODS = {"get", "post", "put", "patch", "delete", "options", "head"}
ROUTES = {"Route", "WebSocketRoute"}
DESCRIBED: dict[str, Any] = json.loads(DOCUMENT)
PATHS: dict[str, dict[str, Any]] = DESCRIBED["paths"]


def plain(path: str) -> str:
    """A path without the types of its parameters."""
    return re.sub(r":\w+}", "}", path)


def text_of(node: ast.expr, constants: dict[str, str]) -> str:
    """A literal text, or one made of constants of its module."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part, constants) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return text_of(node.value, constants)
    if isinstance(node, ast.Name):
        return constants[node.id]
    return str(ast.literal_eval(node))


def routes_of(tree: ast.Module) -> dict[str, set[str]]:
    """Paths of the Starlette routes that a module makes, with their methods."""
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ROUTES:
            methods = {"get"}
            for keyword in node.keywords:
                if keyword.arg == "methods":
                    methods = {method.lower() for method in ast.literal_eval(keyword.value)}
            found.setdefault(plain(text_of(node.args[0], constants)), set()).update(methods)
    return found


def routes_in_code() -> dict[str, set[str]]:
    """Routes that wiring and gateway put beside the gateway's own."""
    found: dict[str, set[str]] = {}
    for folder in ("streams/wiring", "streams/gateway"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            for path, methods in routes_of(ast.parse(file.read_text("utf-8"))).items():
                found.setdefault(path, set()).update(methods)
    return found


def test_every_path_of_the_gateway_is_described() -> None:
    """What the gateway serves itself stands in openapi.json; describe a new path there."""
    served = {plain(path) for path in GatewayCase().served.app.paths}
    assert served - PATHS.keys() == set()


async def test_every_socket_is_described() -> None:
    """What is served as a WebSocket stands in x-sockets, and nothing else does."""
    assert DESCRIBED["x-sockets"].keys() == LiveCase().served.doors.sockets._handlers.keys()


def test_every_route_beside_the_gateway_is_described() -> None:
    """Routes of the wiring stand in openapi.json with their methods; describe a new one there."""
    routes = routes_in_code()
    assert "/sql" in routes
    missing = {
        f"{method} {path}"
        for path, methods in routes.items()
        for method in methods
        if method not in PATHS.get(path, {})
    }
    assert missing == set()


async def test_everything_described_is_there() -> None:
    """No path of the description is unknown to the gateway or its routes, by any of its methods."""
    case, routes = GatewayCase(), routes_in_code()
    for path, item in PATHS.items():
        if path in routes or path in {"/hooks/{name}", "/events/stream"}:
            continue
        for method in METHODS & item.keys():
            answer = await case.request(method.upper(), path.replace("{id}", "x"))
            assert (
                answer.status_code not in {404, 405} or answer.json()["type"] != "urn:ensue:no-such-path"
            ), path


def test_every_operation_says_what_it_refuses() -> None:
    """Each operation has an id of its own, a summary, a 2xx and the refusals that are everywhere."""
    ids = []
    for path, item in PATHS.items():
        for method in METHODS & item.keys():
            operation = item[method]
            ids.append(operation["operationId"])
            statuses = operation["responses"].keys()
            assert operation["summary"], path
            assert any(status[0] in "12" for status in statuses), path
            assert {"403", "421", "431"} <= statuses, path
    assert len(set(ids)) == len(ids)


async def test_the_description_is_served() -> None:
    """GET /openapi.json is the document."""
    answer = await GatewayCase().request("GET", "/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.content == DOCUMENT
