"""Bearer, basic and none: secrets that are shown as they are, and senders who show nothing."""

import base64
import json

import pytest
from pydantic import SecretStr

from streams.errors import BadInput
from streams.source_settings import HttpSourceSettings
from streams.sources.kinds import hook_source, lacking
from streams.sources.trust import Trust
from streams.wiring.live_sources import LiveSources
from tests.gateway_case import GatewayCase
from tests.webhook_case import BODY, delivered, must_be_refused, the_event

pytestmark = pytest.mark.unit
PAIR = "mé:pass:word"


def basic(pair: str | bytes) -> dict[str, str]:
    """The header of user and password."""
    raw = pair.encode() if isinstance(pair, str) else pair
    return {"content-type": "application/json", "authorization": "Basic " + base64.b64encode(raw).decode()}


@pytest.mark.parametrize("word", ["Basic", "basic", "BASIC"])
async def test_user_and_password_are_taken(word: str) -> None:
    """The scheme's name in any case; the password may hold colons, both any letters."""
    headers = {**basic(PAIR), "authorization": basic(PAIR)["authorization"].replace("Basic", word)}
    for secret in (PAIR, ["other:x", PAIR], [PAIR, "other:x"]):
        event = the_event(await delivered("basic", headers, BODY, secret))
        assert event["event"] == "webhook.received"


@pytest.mark.parametrize(
    "shown",
    [
        *(
            basic(pair)["authorization"]
            for pair in ("mé:pass", "mé:", ":pass:word", "", "mé", PAIR + "x", "\0")
        ),
        basic(PAIR.encode("latin-1"))["authorization"],
        basic(PAIR)["authorization"].removeprefix("Basic "),
        basic(PAIR)["authorization"].replace("Basic", "Bearer"),
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic é",
        "Basic " + "A" * 65_537,
        "Bearer " + PAIR,
    ],
)
async def test_another_pair_is_refused(shown: str) -> None:
    """Half a pair, another coding, another scheme: 401 in the same words."""
    must_be_refused(await delivered("basic", {"authorization": shown}, BODY, PAIR))


async def test_nothing_is_let_in_without_a_secret_that_counts() -> None:
    """No secret, an empty one, or a pair without its colon opens no door."""
    for secret in ([], [""], ["nocolon"], [" "]):
        for pair in ("", ":", "nocolon", " "):
            must_be_refused(await delivered("basic", basic(pair), BODY, secret))
            headers = {"authorization": f"Bearer {pair}"}
            must_be_refused(
                await delivered("bearer", headers, BODY, [text for text in secret if not text.strip()])
            )
    assert "user:password" in lacking("basic", Trust(secrets=(b"nocolon",)))
    for kind in ("basic", "bearer", "github", "stripe", "slack", "shopify", "hmac", "standard-webhooks"):
        assert "no secret" in lacking(kind, Trust())
        assert "no secret" in lacking(kind, Trust(secrets=(b"",)))


def test_a_source_that_lets_nobody_in_says_so_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    """A missing secret is a warning with the source's name; a template that cannot be ends the start."""
    caplog.set_level("WARNING")
    LiveSources({"gh": HttpSourceSettings(kind="github"), "open": HttpSourceSettings(kind="none")})
    (record,) = caplog.records
    assert "source gh of kind github: it has no secret" in record.getMessage()
    caplog.clear()
    LiveSources({"gh": HttpSourceSettings(kind="github", secrets=[SecretStr("s")])})
    assert caplog.records == []
    for wrong in (
        HttpSourceSettings(kind="none", event="{{ nonsense }}"),
        HttpSourceSettings(kind="hmac", hmac={"algorithm": "md5"}),
    ):
        with pytest.raises(BadInput, match="source gh: "):
            LiveSources({"gh": wrong})


async def test_a_token_is_taken_and_others_are_not() -> None:
    """Every active token; doubled, missing, empty, cut and non-ASCII ones are 401."""
    for secret in ("tok", ["new", "tok"]):
        the_event(await delivered("bearer", {"AUTHORIZATION": "bearer tok"}, BODY, secret))
    for shown in (
        "Bearer to",
        "Bearer tokk",
        "Bearer",
        "Bearer ",
        "tok",
        "Basic tok",
        "Bearer tök",
        "Bearer 漢",
    ):
        must_be_refused(await delivered("bearer", {"authorization": shown}, BODY, "tok"))
    must_be_refused(await delivered("bearer", {"authorization": ["Bearer tok", "Bearer tok"]}, BODY, "tok"))
    must_be_refused(
        await delivered("basic", {"authorization": [basic(PAIR)["authorization"]] * 2}, BODY, PAIR)
    )
    must_be_refused(await delivered("bearer", {}, BODY, "tok"))


async def test_a_key_of_the_sender_tells_a_repetition() -> None:
    """`Idempotency-Key` is the identity; without it each delivery is new."""

    async def number(**more: str) -> str:
        headers = {"authorization": "Bearer t", **{k.replace("_", "-"): v for k, v in more.items()}}
        return str(the_event(await delivered("bearer", headers, BODY, "t"))["id"])

    assert await number(idempotency_key="a") == await number(idempotency_key="a")
    assert await number(idempotency_key="a") != await number(idempotency_key="b")
    assert await number() != await number()


async def test_who_proves_nothing_sends_json_or_nothing() -> None:
    """Kind none takes JSON and refuses what a foreign page may send; a doubled key is a dead letter."""
    gateway = GatewayCase(hooks={"open": hook_source("none", "open", Trust)})

    async def sent(kind: str) -> int:
        answer = await gateway.request("POST", "/hooks/open", BODY, {"content-type": kind})
        return answer.status_code

    assert [await sent(kind) for kind in ("application/json", "text/plain", "")] == [202, 415, 415]
    assert [event.event for event in gateway.log.events()] == ["webhook.received"]
    assert json.loads(gateway.log.events()[0].payload) == json.loads(BODY)
