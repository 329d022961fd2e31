"""The registry's HTTP API: the part of Confluent's that its clients use, and a fast 404 for the rest."""

import json
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from hashlib import blake2b
from typing import Any

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streams.registry.guard import Guard
from streams.registry.log_format import SchemaVersion
from streams.registry.problem import RegistryProblem, schema_not_found, version_not_found
from streams.registry.reply import problem_reply, reply
from streams.registry.service import RegistryService

Handler = Callable[[RegistryService, Request], Awaitable[Response]]


def build_app(service: RegistryService, allowed_hosts: Iterable[str] = ()) -> Guard:
    """Return the application; `allowed_hosts` are Host names accepted beside loopback's."""
    app = Starlette(
        routes=[
            Route(path, partial(_answer, service, handler), methods=[method])
            for method, path, handler in _ROUTES
        ],
        exception_handlers={RegistryProblem: _refused, HTTPException: _http_error},
    )
    return Guard(app, allowed_hosts)


async def _answer(service: RegistryService, handler: Handler, request: Request) -> Response:
    return await handler(service, request)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RegistryProblem)
    return problem_reply(error)


def _http_error(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    text = "HTTP 404 Not Found: this registry has no such resource" if status == 404 else str(error)
    return problem_reply(RegistryProblem(status, text))


# --- what requests say ---


async def _json(request: Request) -> dict[str, Any]:
    body = await request.body()
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RegistryProblem(400, f"The body is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise RegistryProblem(400, "The body must be a JSON object")
    return found


async def _schema(request: Request) -> str:
    found = await _json(request)
    if found.get("references"):
        raise RegistryProblem(42201, "Schema references are not supported: put the types into one schema")
    kind = found.get("schemaType") or "AVRO"
    if kind != "AVRO":
        raise RegistryProblem(42201, f"Schema type '{str(kind)[:40]}' is not supported, only AVRO")
    schema = found.get("schema")
    if not isinstance(schema, str):
        raise RegistryProblem(42201, "Empty schema: the body needs the schema's JSON text under 'schema'")
    return schema


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "false").lower() == "true"


def _subject(request: Request) -> str | None:
    found = request.path_params.get("subject")
    return None if found is None else str(found)


def _document(found: SchemaVersion) -> dict[str, Any]:
    document: dict[str, Any] = {
        "subject": found.subject,
        "version": found.version,
        "id": found.id,
        "schema": found.schema,
    }
    if found.kind != "AVRO":
        document["schemaType"] = found.kind
    return document


# --- subjects ---


async def _root(service: RegistryService, request: Request) -> Response:
    del service, request
    return reply({})


async def _subjects(service: RegistryService, request: Request) -> Response:
    prefix = request.query_params.get("subjectPrefix", "")
    names = service.subjects(deleted=_flag(request, "deleted"))
    return reply([name for name in names if name.startswith(prefix)])


async def _versions(service: RegistryService, request: Request) -> Response:
    found = service.versions(request.path_params["subject"], deleted=_flag(request, "deleted"))
    return reply(list(found))


async def _version(service: RegistryService, request: Request) -> Response:
    return reply(_document(_named_version(service, request)))


async def _version_schema(service: RegistryService, request: Request) -> Response:
    return Response(_named_version(service, request).schema, media_type="application/json")


async def _version_referenced_by(service: RegistryService, request: Request) -> Response:
    _named_version(service, request)
    return reply([])


def _named_version(service: RegistryService, request: Request) -> SchemaVersion:
    return service.version(
        request.path_params["subject"], request.path_params["version"], deleted=_flag(request, "deleted")
    )


async def _register(service: RegistryService, request: Request) -> Response:
    schema = await _schema(request)
    found = await to_thread.run_sync(service.register, request.path_params["subject"], schema)
    return reply(_document(found))


async def _lookup(service: RegistryService, request: Request) -> Response:
    schema = await _schema(request)
    work = partial(service.lookup, request.path_params["subject"], schema, deleted=_flag(request, "deleted"))
    return reply(_document(await to_thread.run_sync(work)))


async def _delete_subject(service: RegistryService, request: Request) -> Response:
    work = partial(
        service.delete_subject, request.path_params["subject"], permanent=_flag(request, "permanent")
    )
    return reply(await to_thread.run_sync(work))


async def _delete_version(service: RegistryService, request: Request) -> Response:
    work = partial(
        service.delete_version,
        request.path_params["subject"],
        request.path_params["version"],
        permanent=_flag(request, "permanent"),
    )
    return reply(await to_thread.run_sync(work))


async def _schemas(service: RegistryService, request: Request) -> Response:
    """Every version of every subject, or of those with a prefix; asked again with its ETag, 304."""
    deleted, latest = _flag(request, "deleted"), _flag(request, "latestOnly")
    found = service.listing(request.query_params.get("subjectPrefix", ""), deleted=deleted, latest=latest)
    answer = reply([_document(version) for version in found])
    tag = f'"{blake2b(bytes(answer.body), digest_size=16).hexdigest()}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    answer.headers.update(headers)
    return answer


# --- ids ---


def _with_id(service: RegistryService, request: Request) -> list[SchemaVersion]:
    text = request.path_params["id"]
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise schema_not_found(f"Schema {text[:40]} not found")
    return service.by_id(int(text))


async def _by_id(service: RegistryService, request: Request) -> Response:
    found = _with_id(service, request)[0]
    document = {"schema": found.schema}
    if found.kind != "AVRO":
        document["schemaType"] = found.kind
    return reply(document)


async def _text_by_id(service: RegistryService, request: Request) -> Response:
    return Response(_with_id(service, request)[0].schema, media_type="application/json")


async def _versions_by_id(service: RegistryService, request: Request) -> Response:
    uses = _uses(service, request)
    return reply([{"subject": found.subject, "version": found.version} for found in uses])


async def _subjects_by_id(service: RegistryService, request: Request) -> Response:
    return reply(sorted({found.subject for found in _uses(service, request)}))


def _uses(service: RegistryService, request: Request) -> list[SchemaVersion]:
    deleted = _flag(request, "deleted")
    return [found for found in _with_id(service, request) if deleted or not found.deleted]


async def _types(service: RegistryService, request: Request) -> Response:
    del service, request
    return reply(["AVRO"])


# --- compatibility and configuration ---


async def _judge(service: RegistryService, request: Request) -> Response:
    schema = await _schema(request)
    subject, number = request.path_params["subject"], request.path_params.get("version")
    try:
        reasons = await to_thread.run_sync(service.judge, subject, schema, number)
    except RegistryProblem as error:
        if error.code == 40401 and number == "latest":
            reasons = []  # nothing to be incompatible with
        elif error.code == 40401:
            raise version_not_found(number) from error
        else:
            raise
    document: dict[str, Any] = {"is_compatible": not reasons}
    if _flag(request, "verbose"):
        document["messages"] = reasons
    return reply(document)


async def _get_config(service: RegistryService, request: Request) -> Response:
    level = service.level(_subject(request), default_to_global=_flag(request, "defaultToGlobal"))
    return reply({"compatibilityLevel": level})


async def _put_config(service: RegistryService, request: Request) -> Response:
    level = str((await _json(request)).get("compatibility", ""))
    await to_thread.run_sync(service.set_level, _subject(request), level)
    return reply({"compatibility": level})


async def _delete_config(service: RegistryService, request: Request) -> Response:
    subject = _subject(request)
    level = service.level(subject)
    await to_thread.run_sync(service.set_level, subject, None)
    return reply({"compatibilityLevel": level})


async def _get_mode(service: RegistryService, request: Request) -> Response:
    del service, request
    return reply({"mode": "READWRITE"})


async def _put_mode(service: RegistryService, request: Request) -> Response:
    del service
    mode = str((await _json(request)).get("mode", ""))
    if mode != "READWRITE":
        raise RegistryProblem(42204, f"Invalid mode '{mode[:40]}': this registry has only READWRITE")
    return reply({"mode": mode})


async def _live(service: RegistryService, request: Request) -> Response:
    del service, request
    return reply({"live": True})


async def _ready(service: RegistryService, request: Request) -> Response:
    del request
    if not service.ready:
        raise RegistryProblem(503, "The registry does not hold its topic's writer, or cannot read the topic")
    return reply({"ready": True})


_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/", _root),
    ("GET", "/subjects", _subjects),
    ("GET", "/subjects/{subject}/versions", _versions),
    ("POST", "/subjects/{subject}/versions", _register),
    ("GET", "/subjects/{subject}/versions/{version}", _version),
    ("DELETE", "/subjects/{subject}/versions/{version}", _delete_version),
    ("GET", "/subjects/{subject}/versions/{version}/schema", _version_schema),
    ("GET", "/subjects/{subject}/versions/{version}/referencedby", _version_referenced_by),
    ("POST", "/subjects/{subject}", _lookup),
    ("DELETE", "/subjects/{subject}", _delete_subject),
    ("GET", "/schemas", _schemas),
    ("GET", "/schemas/types", _types),
    ("GET", "/schemas/ids/{id}", _by_id),
    ("GET", "/schemas/ids/{id}/schema", _text_by_id),
    ("GET", "/schemas/ids/{id}/versions", _versions_by_id),
    ("GET", "/schemas/ids/{id}/subjects", _subjects_by_id),
    ("POST", "/compatibility/subjects/{subject}/versions", _judge),
    ("POST", "/compatibility/subjects/{subject}/versions/{version}", _judge),
    ("GET", "/config", _get_config),
    ("PUT", "/config", _put_config),
    ("DELETE", "/config", _delete_config),
    ("GET", "/config/{subject}", _get_config),
    ("PUT", "/config/{subject}", _put_config),
    ("DELETE", "/config/{subject}", _delete_config),
    ("GET", "/mode", _get_mode),
    ("PUT", "/mode", _put_mode),
    ("GET", "/mode/{subject}", _get_mode),
    ("PUT", "/mode/{subject}", _put_mode),
    ("GET", "/health/live", _live),
    ("GET", "/health/ready", _ready),
)
