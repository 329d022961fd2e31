"""CloudEvents by the text of the specification: one case for each MUST that a receiver can see.

Names begin with the clause: `core` is spec.md, `json` the JSON event format, all of v1.0.2. `suite` names the
cases of cloudevents/conformance. In which of them the official Python package does something else is said,
and held to the installed package, in test_cloud_events_sdk.py.
"""

import json
from typing import Any

import pytest

from schemas.event_record import to_event
from streams.sources.cloudevents.body import CloudEventsBody
from tests.gateway_case import GatewayCase

pytestmark = pytest.mark.unit
STRUCTURED = "application/cloudevents+json"
MINIMAL: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "https://a.example", "type": "a.b"}
GONE = object()
TEXT = {"datacontenttype": "text/plain"}


def event(**changes: Any) -> dict[str, Any]:
    """The minimal event with members changed, or left out (GONE)."""
    changed = {**MINIMAL, **changes}
    return {name: value for name, value in changed.items() if value is not GONE}


def raw(text: str) -> bytes:
    """The minimal event with further members as JSON text that no strict writer makes."""
    return (json.dumps(MINIMAL)[:-1] + ", " + text + "}").encode()


# What is valid: the case, the body, the payload's data or data_base64 that comes of it.
VALID: dict[str, dict[str, Any]] = {
    "suite minimal; core: only four attributes are REQUIRED": event(),
    "suite null for optional; json 2.2: null MUST be treated as unset": event(
        datacontenttype=None, dataschema=None, subject=None, time=None
    ),
    "json 2.2: a null extension is unset": event(unsetextension=None),
    "suite all core attributes": event(
        datacontenttype="text/plain",
        dataschema="https://a.example/s",
        subject="tests",
        time="2018-04-05T17:31:00Z",
    ),
    "suite time to nanoseconds": event(time="2018-04-05T17:31:00.000000000Z"),
    "suite time, positive offset": event(time="2018-04-05T18:31:00+01:00"),
    "suite time, negative offset": event(time="2018-04-05T16:31:00-01:00"),
    "core Timestamp: RFC 3339 5.6 NOTE, t and z may be lower case": event(time="2018-04-05t17:31:00z"),
    "core Timestamp: RFC 3339 5.7, a leap second": event(time="2016-12-31T23:59:60Z"),
    "core Timestamp: a leap second with an offset": event(time="2017-01-01T00:59:60+01:00"),
    "core Timestamp: RFC 3339 4.3, offset -00:00": event(time="2018-04-05T17:31:00-00:00"),
    "suite relative source, a fragment": event(source="#fragment"),
    "core source: any URI-reference, without a scheme": event(source="1-555-123-4567"),
    "core source: a path": event(source="/sensors/tn-1234567/alerts"),
    "core source: a URN": event(source="urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66"),
    "core source: an address of mail": event(source="mailto:cncf-wg-serverless@lists.cncf.io"),
    "core source: IPv6, port, query, percent-encoding": event(source="//[2001:db8::1]:80/a%20b;c?d=e#f/?"),
    "core naming: longer than 20 characters is only SHOULD NOT": event(comexampleextension1longer="x"),
    "core naming: a digit first is only SHOULD NOT": {**event(), "1st": "x"},
    "core String: pairs of surrogates are characters": event(subject="\U0001f600 \u20ac"),
    "core String: an extension may be empty": event(empty=""),
    "core Integer: its least": event(n=-2147483648),
    "core Integer: its greatest": event(n=2147483647),
    "core Boolean": event(yes=True, no=False),
    "suite extensions of all types": event(
        extinteger=10,
        extboolean=True,
        extstring="text",
        exturi="https://a.example",
        exturiref="//authority/path",
        exttimestamp="2023-03-31T15:12:00Z",
        extbinary="TWE=",
    ),
    "core datacontenttype: may be there without data (1.0.3)": event(**TEXT),
    "core datacontenttype: parameters, quoted and in any case": event(
        datacontenttype='TEXT/Plain; CharSet="utf-8"; x=y', data="a"
    ),
    "core dataschema: a URN is absolute": event(dataschema="urn:schema:1"),
    "suite simple text data": event(**TEXT, data="Simple text"),
    "json 3.1.2: no datacontenttype is JSON": event(data={"a": [1, None]}),
    "json 3.1.2: a JSON string is a JSON string": event(data="I'm just a string"),
    "json 3.1.1: data null is a payload": event(data=None),
    "json 3.1.1: */json and */*+json are JSON": event(
        datacontenttype="application/vnd.a+JSON; v=1", data=[1]
    ),
    "json 3.1.2: JSON that looks like JSON in a string": event(datacontenttype="text/json", data='{"a": 1}'),
    "json 3.1.1: numbers of data are not Integers": event(data=2**40),
    "json 3.1.2: bytes": event(datacontenttype="application/x-thrift", data_base64="AAEC/w=="),
    "json 3.1.2: bytes without a type stay bytes": event(data_base64="eyAieHl6IjogMTIzIH0="),
    "json 3.1.2: no bytes": event(data_base64=""),
}

# What is not: the case, the member that the answer names.
INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "suite no specversion": (event(specversion=GONE), "specversion"),
    "suite no id; core id: REQUIRED": (event(id=GONE), "id"),
    "suite no type": (event(type=GONE), "type"),
    "suite no source": (event(source=GONE), "source"),
    "json 2.2: null id is no id": (event(id=None), "id"),
    "json 2.2: null source is no source": (event(source=None), "source"),
    "json 2.2: null type is no type": (event(type=None), "type"),
    "json 2.2: null specversion is none": (event(specversion=None), "specversion"),
    "suite empty id": (event(id=""), "id"),
    "suite empty type": (event(type=""), "type"),
    "suite empty source": (event(source=""), "source"),
    "suite empty specversion": (event(specversion=""), "specversion"),
    "suite empty subject": (event(subject=""), "subject"),
    "suite empty datacontenttype": (event(datacontenttype=""), "datacontenttype"),
    "suite empty dataschema": (event(dataschema=""), "dataschema"),
    "core time: empty": (event(time=""), "time"),
    "suite unknown specversion": (event(specversion="0.9"), "specversion"),
    "core specversion: 0.3 is another format": (event(specversion="0.3"), "specversion"),
    "core specversion: MUST be 1.0, not 1.0.2": (event(specversion="1.0.2"), "specversion"),
    "core specversion: a String, not a number": (event(specversion=1.0), "specversion"),
    "core specversion: not the Integer 1": (event(specversion=1), "specversion"),
    "suite numeric id": (event(id=25), "id"),
    "suite object as id": (event(id={"xyz": "abc"}), "id"),
    "core subject: a String, not a Boolean": (event(subject=True), "subject"),
    "core datacontenttype: a String": (event(datacontenttype=5), "datacontenttype"),
    "suite time is garbage": (event(time="lunchtime"), "time"),
    "suite time to the minute": (event(time="2018-04-05T18:31Z"), "time"),
    "suite time with offset X": (event(time="2018-04-05T18:31:00X"), "time"),
    "suite offset out of range": (event(time="2018-04-05T18:31:00+25:00"), "time"),
    "suite offset no number": (event(time="2018-04-05T18:31:00+xx:00"), "time"),
    "suite offset of hours only": (event(time="2018-04-05T18:31:00+05"), "time"),
    "core Timestamp: RFC 3339 wants a zone": (event(time="2018-04-05T18:31:00"), "time"),
    "core Timestamp: a day that is none": (event(time="2018-02-30T18:31:00Z"), "time"),
    "core Timestamp: an hour that is none": (event(time="2018-02-03T24:00:00Z"), "time"),
    "core Timestamp: no date alone": (event(time="2018-02-03"), "time"),
    "core Timestamp: no basic format": (event(time="20180203T183100Z"), "time"),
    "core Timestamp: digits of ASCII": (event(time="\uff12018-02-03T18:31:00Z"), "time"),
    "core Timestamp: no second 60 within a day": (event(time="2018-02-03T18:31:60Z"), "time"),
    "core Timestamp: a String, not seconds": (event(time=1522949460), "time"),
    "suite datacontenttype xyz; core: MUST adhere to RFC 2046": (
        event(datacontenttype="xyz"),
        "datacontenttype",
    ),
    "core datacontenttype: a parameter without value": (event(datacontenttype="a/b; c"), "datacontenttype"),
    "core datacontenttype: a quote that stays open": (event(datacontenttype='a/b; c="d'), "datacontenttype"),
    "core datacontenttype: a space within": (event(datacontenttype="text /plain"), "datacontenttype"),
    "core dataschema: MUST be absolute": (event(dataschema="/schemas/1"), "dataschema"),
    "core dataschema: RFC 3986 4.3 has no fragment": (
        event(dataschema="https://a.example/s#x"),
        "dataschema",
    ),
    "core dataschema: no URI at all": (event(dataschema="http://a b"), "dataschema"),
    "core source: no URI-reference": (event(source="http://a b"), "source"),
    "core source: RFC 3986 is ASCII": (event(source="/caf\u00e9"), "source"),
    "core source: a bare percent": (event(source="/100%"), "source"),
    "core source: no colon in a first segment without scheme": (event(source="1a:b"), "source"),
    "core source: two fragments": (event(source="/a#b#c"), "source"),
    "core source: brackets are for IP addresses": (event(source="/a[1]"), "source"),
    "suite capitalised extension": (event(MyExtension="bad"), "MyExtension"),
    "suite extension with a dot": (event(**{"my.extension": "bad"}), "my.extension"),
    "core naming: no underscore": (event(my_extension="bad"), "my_extension"),
    "core naming: no hyphen": (event(**{"my-extension": "bad"}), "my-extension"),
    "core naming: at least one character": ({**event(), "": "bad"}, ""),
    "core naming: letters of ASCII": (event(café="bad"), "caf\\xe9"),
    "suite number with a fraction": (event(ext=1.5), "ext"),
    "json 2.2: an Integer has no fraction, not even 0": (event(ext=1.0), "ext"),
    "core Integer: one too many": (event(ext=2147483648), "ext"),
    "core Integer: one too few": (event(ext=-2147483649), "ext"),
    "core types: no object": (event(ext={"a": "b"}), "ext"),
    "core types: no array": (event(ext=["a"]), "ext"),
    "core String: no NUL": (event(ext="a\u0000"), "ext"),
    "core String: no line feed": (event(subject="a\nb"), "subject"),
    "core String: no DEL": (event(type="a\u007f"), "type"),
    "core String: no C1 control": (event(id="\u0085"), "id"),
    "core String: no noncharacter U+FFFE": (event(ext="\ufffe"), "ext"),
    "core String: no noncharacter U+FDD0": (event(ext="\ufdd0"), "ext"),
    "core String: no noncharacter U+10FFFF": (event(ext="\U0010ffff"), "ext"),
    "suite both data and data_base64": (
        event(data="text", data_base64="eyAieHl6IjogMTIzIH0="),
        "data_base64",
    ),
    "json 3.1.1: data null beside data_base64": (event(data=None, data_base64="AA=="), "data_base64"),
    "json 3.1.2: no Base64": (event(data_base64="%%"), "data_base64"),
    "json 3.1.2: Base64 without padding": (event(data_base64="TWE"), "data_base64"),
    "json 3.1.2: Base64 of URLs": (event(data_base64="-_-_"), "data_base64"),
    "json 3.1.2: Base64 with a line break": (event(data_base64="TW\nE="), "data_base64"),
    "json 3.1.2: Base64 is a string": (event(data_base64=5), "data_base64"),
    "json 3.1.2: text that is none": (event(**TEXT, data={"a": 1}), "data"),
}

# No JSON at all (RFC 8259), or twice the same: refused before anything is read of it.
MALFORMED: dict[str, bytes] = {
    "core String: an unpaired surrogate": raw('"ext": "\\uDEAD"'),
    "json: NaN is no JSON": raw('"data": NaN'),
    "json: Infinity is no JSON": raw('"data": {"a": -Infinity}'),
    "json: 1e400 is no number here": raw('"data": 1e400'),
    "core (1.0.3): each attribute at most once": raw('"id": "2"'),
    "json: not UTF-8": raw('"ext": "\xff"').replace("\xff".encode(), b"\xff"),
    "json: cut off": json.dumps(MINIMAL)[:-1].encode(),
    "json: empty": b"",
}
NO_EVENT: dict[str, Any] = {"json 3: an array": [MINIMAL], "json 3: a text": "x", "json 3: null": None}


def case() -> GatewayCase:
    """A gateway that takes CloudEvents."""
    return GatewayCase(form=CloudEventsBody())


@pytest.mark.parametrize("name", VALID)
async def test_a_valid_event_is_taken_with_all_it_says(name: str) -> None:
    """202; the payload holds every attribute that is set, as it came, and the data as it came."""
    gateway = case()
    sent = VALID[name]
    answer = await gateway.post(json.dumps(sent).encode(), STRUCTURED)
    assert answer.status_code == 202, answer.text
    found = to_event(gateway.log.events()[0])
    assert answer.json() == {"ids": [found.id]}
    data = {key: sent[key] for key in ("data", "data_base64") if key in sent}
    attributes = {k: v for k, v in sent.items() if v is not None and k not in data}
    assert found.payload == {"cloudevents": attributes, **data}
    assert (found.event, found.resource_id) == (sent["type"], sent.get("subject") or sent["source"])


@pytest.mark.parametrize("name", INVALID)
async def test_an_invalid_event_is_refused_by_name(name: str) -> None:
    """422 names the event's index and the attribute; nothing is written, nothing is made up."""
    gateway = case()
    document, field = INVALID[name]
    answer = await gateway.post(json.dumps(document).encode(), STRUCTURED)
    assert answer.status_code == 422, answer.text
    assert [(error["index"], error["field"]) for error in answer.json()["errors"]] == [(0, field)]
    assert gateway.log.rows == []


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_no_json_is_refused(name: str) -> None:
    """400, before anything is believed."""
    gateway = case()
    answer = await gateway.post(MALFORMED[name], STRUCTURED)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:ensue:malformed-json")
    assert gateway.log.rows == []


@pytest.mark.parametrize("name", NO_EVENT)
async def test_json_that_is_no_object_is_refused(name: str) -> None:
    """422: an event is an object."""
    answer = await case().post(json.dumps(NO_EVENT[name]).encode(), STRUCTURED)
    assert (answer.status_code, answer.json()["errors"][0]["reason"]) == (
        422,
        "a CloudEvent is a JSON object",
    )


async def test_the_version_that_is_not_ours_is_said() -> None:
    """Who sends 0.3 reads that it is 1.0 that is wanted."""
    answer = await case().post(json.dumps(event(specversion="0.3")).encode(), STRUCTURED)
    assert "'0.3' is not supported" in answer.json()["errors"][0]["reason"]
    assert '"1.0"' in answer.json()["errors"][0]["reason"]
