"""Shopify: signatures made by OpenSSL, topics, shops, both prefixes of its headers."""

import base64
import json
from typing import Any

import pytest

from tests.webhook_case import BODY, SchemeCase, delivered, mac, must_be_refused, rotations, the_event

pytestmark = pytest.mark.unit
ORDER = {"id": 820982911946154508, "updated_at": "2026-10-26T02:13:20-04:00", "note": "é"}


def sign(body: bytes, secret: str, _at_s: int) -> dict[str, str]:
    """As Shopify sends an order."""
    return {
        "content-type": "application/json",
        "x-shopify-topic": "orders/create",
        "x-shopify-shop-domain": "a.myshopify.com",
        "x-shopify-api-version": "2026-10",
        "x-shopify-webhook-id": "b54557e4",
        "x-shopify-hmac-sha256": base64.b64encode(mac(secret.encode(), body)).decode(),
    }


CASE = SchemeCase(
    kind="shopify", sign=sign, secret="shpss_1", other="shpss_2", signature="x-shopify-hmac-sha256"
)


@pytest.mark.parametrize("name", CASE.refusals())
async def test_what_is_not_proven_is_refused(name: str) -> None:
    """Every attack on signature, secret and body is 401 in the same words."""
    must_be_refused(await CASE.deliver(CASE.refusals()[name]))


@pytest.mark.parametrize("name", rotations(CASE))
async def test_what_is_proven_is_taken(name: str) -> None:
    """Every active secret counts, header names come in any case, the body may be any bytes."""
    assert (await CASE.deliver(rotations(CASE)[name]))["status"] == 202


async def test_a_digest_in_another_encoding_is_refused() -> None:
    """Shopify writes base64 and pads it: hexadecimal, no padding or the alphabet of addresses is not its."""
    digest = mac(CASE.secret.encode(), BODY)
    plain = base64.b64encode(digest).decode()
    for text in (digest.hex(), plain.rstrip("="), plain + "=", f"sha256={plain}"):
        headers = {**CASE.good().headers, CASE.signature: text}
        must_be_refused(await delivered("shopify", headers, BODY, CASE.secret))


async def sent(document: Any, **changed: str) -> dict[str, Any]:
    """The event of a document; header names with _ for -."""
    body = json.dumps(document).encode()
    headers = sign(body, CASE.secret, 0) | {name.replace("_", "-"): value for name, value in changed.items()}
    return the_event(await delivered("shopify", headers, body, CASE.secret))


async def test_an_order_is_an_event_of_its_shop() -> None:
    """`shopify.TOPIC` with a full stop for the slash, on SHOP/ID, with the time of the body in UTC."""
    event = await sent(ORDER)
    assert event["event"] == "shopify.orders.create"
    assert event["resource"] == {
        "resource.id": "a.myshopify.com/820982911946154508",
        "provider": "shopify",
        "topic": "orders/create",
        "shop": "a.myshopify.com",
        "id": "820982911946154508",
        "api_version": "2026-10",
        "delivery": "b54557e4",
    }
    assert event["occurred"] == "2026-10-26T06:13:20+00:00"
    assert event["payload"] == ORDER
    told = await sent(ORDER, x_shopify_triggered_at="2026-10-26T06:13:19.5Z")
    assert told["occurred"] == "2026-10-26T06:13:19.500000+00:00"


async def test_the_newer_headers_without_x_mean_the_same() -> None:
    """Shopify's newer deliveries leave the prefix X- out; the two sets are not mixed."""
    body = json.dumps(ORDER).encode()
    newer = {name.removeprefix("x-"): value for name, value in sign(body, CASE.secret, 0).items()}
    event = the_event(await delivered("shopify", newer, body, CASE.secret))
    assert event == {**await sent(ORDER), "id": event["id"]}
    assert event["id"] == (await sent(ORDER))["id"]
    forged = {**newer, "x-shopify-hmac-sha256": "AAAA"}
    must_be_refused(await delivered("shopify", forged, body, CASE.secret))


async def test_the_webhooks_id_is_the_identity() -> None:
    """A retry is the same event; with the id taken off, shop, topic and body tell."""
    first = await sent(ORDER)
    assert (await sent(ORDER))["id"] == first["id"]
    assert (await sent(ORDER, x_shopify_webhook_id="other"))["id"] != first["id"]
    bare = [
        await sent(ORDER, x_shopify_webhook_id="", x_shopify_topic=topic)
        for topic in ("orders/paid", "orders/paid", "orders/edited")
    ]
    assert bare[0]["id"] == bare[1]["id"] != bare[2]["id"]
