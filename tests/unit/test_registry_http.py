"""The registry's answers over HTTP: Confluent's documents and error codes."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from schemas.topics import topics
from streams.errors import BadInput
from streams.registry.app import build_app
from streams.registry.client import HttpRegistry, RegistryUnreachable, SchemaRefused
from streams.registry.register import lookup_all, register_all
from tests.registry_in_memory import InProcess, registry

pytestmark = pytest.mark.unit

TYPE = "application/vnd.schemaregistry.v1+json"
X = json.dumps({"type": "record", "name": "R", "fields": [{"name": "x", "type": "int"}]})
XY = json.dumps({"type": "record", "name": "R", "fields": [{"name": n, "type": "int"} for n in "xy"]})


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with registry() as made:
        app = build_app(made.service, ["registry.example"])
        with httpx.Client(
            transport=InProcess(app), base_url="http://127.0.0.1:4290", headers={"content-type": TYPE}
        ) as client:
            yield client


def put(http: httpx.Client, schema: str = X, subject: str = "s") -> Any:
    return http.post(f"/subjects/{subject}/versions", json={"schema": schema})


def test_documents_are_confluents(http: httpx.Client) -> None:
    """Register, read back by every path, list, judge: the documents that Confluent's clients parse."""
    assert put(http).json()["id"] == 1
    assert http.get("/subjects").json() == ["s"]
    assert http.get("/subjects/s/versions").json() == [1]
    document = {"subject": "s", "version": 1, "id": 1, "schema": X}
    for path in ("1", "latest", "-1"):
        assert http.get(f"/subjects/s/versions/{path}").json() == document
    assert http.post("/subjects/s", json={"schema": X}).json() == document
    assert http.get("/subjects/s/versions/1/schema").json() == json.loads(X)
    assert http.get("/schemas/ids/1").json() == {"schema": X}
    assert http.get("/schemas/ids/1/schema").text == X
    assert http.get("/schemas/ids/1/versions").json() == [{"subject": "s", "version": 1}]
    assert http.get("/schemas/ids/1/subjects").json() == ["s"]
    assert http.get("/schemas/types").json() == ["AVRO"]
    assert http.get("/mode").json() == {"mode": "READWRITE"}
    assert http.get("/config").json() == {"compatibilityLevel": "BACKWARD"}
    assert http.put("/config/s", json={"compatibility": "FULL"}).json() == {"compatibility": "FULL"}
    assert http.get("/config/s").json() == {"compatibilityLevel": "FULL"}
    judged = http.post("/compatibility/subjects/s/versions/latest?verbose=true", json={"schema": XY}).json()
    assert judged["is_compatible"] is False
    assert judged["messages"][0].startswith("R.y: the new schema cannot read data of version 1")
    assert http.post("/compatibility/subjects/s/versions/1", json={"schema": X}).json() == {
        "is_compatible": True
    }
    assert http.get("/").headers["content-type"] == TYPE


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error_code"),
    [
        ("GET", "/subjects/none/versions", None, 404, 40401),
        ("GET", "/subjects/s/versions/9", None, 404, 40402),
        ("GET", "/subjects/s/versions/0", None, 422, 42202),
        ("GET", "/subjects/s/versions/abc", None, 422, 42202),
        ("GET", "/schemas/ids/99", None, 404, 40403),
        ("GET", "/schemas/ids/99999999999999999999", None, 404, 40403),
        ("POST", "/subjects/none", {"schema": X}, 404, 40401),
        ("POST", "/subjects/s", {"schema": XY}, 404, 40403),
        ("POST", "/subjects/s/versions", {"schema": XY}, 409, 409),
        ("POST", "/subjects/s/versions", {"schema": "{"}, 422, 42201),
        ("POST", "/subjects/s/versions", {"schema": '"nonsense"'}, 422, 42201),
        ("POST", "/subjects/s/versions", {}, 422, 42201),
        ("POST", "/subjects/s/versions", {"schema": X, "schemaType": "PROTOBUF"}, 422, 42201),
        ("POST", "/subjects/s/versions", {"schema": X, "references": [{}]}, 422, 42201),
        ("POST", "/subjects/s/versions", [], 400, 400),
        ("GET", "/config/s", None, 404, 40408),
        ("PUT", "/config/s", {"compatibility": "SIDEWAYS"}, 422, 42203),
        ("PUT", "/mode", {"mode": "IMPORT"}, 422, 42204),
        ("POST", "/compatibility/subjects/none/versions/1", {"schema": X}, 404, 40402),
        ("DELETE", "/subjects/none", None, 404, 40401),
        ("DELETE", "/subjects/s?permanent=true", None, 404, 40405),
        ("DELETE", "/subjects/s/versions/1?permanent=true", None, 404, 40407),
        ("GET", "/associations/resources/x", None, 404, 404),
        ("PATCH", "/subjects", None, 405, 405),
    ],
)
def test_error_codes_are_confluents(
    http: httpx.Client, method: str, path: str, body: Any, status: int, error_code: int
) -> None:
    """Every refusal has Confluent's status and error code, and a message."""
    put(http)
    answer = http.request(method, path, json=body) if body is not None else http.request(method, path)
    assert (answer.status_code, answer.json()["error_code"]) == (status, error_code)
    assert answer.json()["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": "registry.example:80"}, 200),
        ({"host": "[::1]:4290"}, 200),
        ({"host": "LocalHost"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:4290"}, 200),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "application/json; charset=utf-8"}, 200),
        ({"content-length": "99999999"}, 413),
    ],
)
def test_only_our_own_may_ask(http: httpx.Client, headers: dict[str, str], status: int) -> None:
    """Foreign hosts, pages, content types and giants are refused before anything is read."""
    assert http.post("/subjects/s/versions", json={"schema": X}, headers=headers).status_code == status


def test_a_body_without_a_length_is_bounded(http: httpx.Client) -> None:
    """A chunked body is cut off at the limit."""
    chunks = (b" " * 65_536 for _ in range(64))
    answer = http.post("/subjects/s/versions", content=chunks, headers={"content-type": TYPE})
    assert answer.status_code == 413


def test_our_client_registers_looks_up_and_remembers(http: httpx.Client) -> None:
    """All topics' schemas get ids once; a lookup never registers and says what is missing."""
    with HttpRegistry("http://127.0.0.1:4290", transport=http._transport, timeout_s=1) as client:
        with pytest.raises(BadInput, match=r"ensue\.events-value.*ensue up"):
            lookup_all(client, topics())
        ids = register_all(client, topics())
        assert len(set(ids.values())) == 10
        assert lookup_all(client, topics()) == register_all(client, topics()) == ids
        assert json.loads(client.schema(ids["event"]))["name"] == "Event"
        with pytest.raises(LookupError):
            client.schema(4711)
        client.register("s", X)
        with pytest.raises(SchemaRefused, match=r"R\.y: the new schema cannot read data of version 1"):
            client.register("s", XY)


def test_an_unknown_id_is_not_asked_for_again_at_once() -> None:
    """A flood of records with an unknown schema id becomes one request."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(404, json={"error_code": 40403, "message": "Schema 5 not found"})

    with HttpRegistry("http://registry", transport=httpx.MockTransport(answer)) as client:
        for _ in range(100):
            with pytest.raises(LookupError):
                client.schema(5)
    assert asked == ["/schemas/ids/5"]


def test_our_client_waits_out_an_outage_and_gives_up_in_time() -> None:
    """Failures are asked again with back-off; after the time-out the error is an OSError with the reason."""
    answers = iter(
        [httpx.Response(500, json={"message": "starting"}), httpx.Response(200, json={"schema": "7"})]
    )
    with HttpRegistry("http://r", transport=httpx.MockTransport(lambda _: next(answers))) as client:
        assert client.schema(1) == "7"
    down = httpx.MockTransport(lambda _: httpx.Response(503, json={"message": "no writer"}))
    with HttpRegistry("http://r", timeout_s=0.3, transport=down) as client:
        with pytest.raises(RegistryUnreachable, match="no writer") as caught:
            client.register("s", X)
        assert isinstance(caught.value, OSError)
