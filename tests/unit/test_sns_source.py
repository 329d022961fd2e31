"""Amazon SNS: signatures by keys made here with `cryptography`, bodies as Amazon's guide prints them."""

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from streams.sources.trust import Trust
from tests.source_case import KnownKeys, SourceCase
from tests.unit.test_s3_records import record

pytestmark = pytest.mark.unit
TOPIC = "arn:aws:sns:us-west-2:123456789012:MyTopic"
CERT = "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem"
CONFIRM = f"https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37"
HASHES = {"1": hashes.SHA1(), "2": hashes.SHA256()}
TRUST = Trust(topic_arns=frozenset({TOPIC}))
TEXT = {"x-amz-sns-message-type": "Notification", "Content-Type": "text/plain; charset=UTF-8"}


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key, made once."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def certificate(
    name: str = "sns.amazonaws.com",
    days: int = 0,
    bits: int = 2048,
    alternative: str = "",
    curve: bool = False,
) -> bytes:
    """A certificate that is valid a year long, beginning some days ago."""
    key: Any = ec.generate_private_key(ec.SECP256R1()) if curve else rsa_key(bits)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    begins = datetime.now(UTC) - timedelta(days=days, minutes=5)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Amazon RSA 2048 M01")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=365))
    )
    if alternative:
        names = x509.SubjectAlternativeName([x509.DNSName(alternative)])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def signed(message: dict[str, Any], bits: int = 2048) -> dict[str, Any]:
    """Sign as Amazon's guide says, in words of our own."""
    names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    skipped = {"SubscribeURL", "Token"} if message["Type"] == "Notification" else {"Subject"}
    text = ""
    for name in names:
        if name in message and name not in skipped:
            text += name + "\n" + message[name] + "\n"
    chosen = HASHES[message["SignatureVersion"]]
    made = rsa_key(bits).sign(text.encode(), padding.PKCS1v15(), chosen)
    return {**message, "Signature": base64.b64encode(made).decode()}


def notification(message: str = "Hello world!", **fields: Any) -> dict[str, Any]:
    """The guide's notification."""
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Subject": "My First Message",
        "Message": message,
        "Timestamp": "2012-05-02T00:54:06.655Z",
        "SignatureVersion": "1",
        "SigningCertURL": CERT,
        "UnsubscribeURL": "https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=arn",
        **fields,
    }


def handshake(kind: str = "SubscriptionConfirmation", **fields: Any) -> dict[str, Any]:
    """The guide's confirmations."""
    return {
        "Type": kind,
        "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
        "Token": "2336412f37",
        "TopicArn": TOPIC,
        "Message": "You have chosen to subscribe to the topic.\nTo confirm, visit the SubscribeURL.",
        "SubscribeURL": CONFIRM,
        "Timestamp": "2012-04-26T20:45:04.751Z",
        "SignatureVersion": "1",
        "SigningCertURL": CERT,
        **fields,
    }


def case(trust: Trust = TRUST, pem: bytes | None = None) -> SourceCase:
    """A source of kind sns, and the certificate where it should lie."""
    return SourceCase("sns", trust, KnownKeys({CERT: certificate() if pem is None else pem}))


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [{}, {"Subject": "With ünïcode\nand lines"}])
async def test_both_versions_of_signatures_are_good(version: str, subject: dict[str, str]) -> None:
    """SHA-1 and SHA-256 by the named certificate: 202, and any message is an event of the topic."""
    source = case()
    body = notification(SignatureVersion=version, **subject)
    if not subject:
        del body["Subject"]
    assert (await source.send(signed(body), TEXT)).status_code == 202
    event = source.only()
    assert (event.event, event.resource_id) == ("sns.notification", TOPIC)
    assert event.payload["Message"] == "Hello world!"
    assert not {"Signature", "UnsubscribeURL", "SigningCertURL"} & event.payload.keys()
    assert source.outbound.asked == [CERT]


async def test_a_buckets_records_in_a_message_are_storage_events() -> None:
    """S3 → SNS → here: one event, with the id that the record has by every other way."""
    source, direct = case(), SourceCase("s3")
    records = {"Records": [record(key="a+b%2Bc.csv")]}
    await source.send(signed(notification(json.dumps(records))), TEXT)
    await direct.send(records)
    assert source.only().resource["key"] == "a b+c.csv"
    assert source.only().id == direct.only().id


async def test_amazons_test_event_gives_nothing() -> None:
    """The s3:TestEvent within a notification is answered and gives neither event nor dead letter."""
    source = case()
    told = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"})
    assert (await source.send(signed(notification(told)), TEXT)).status_code == 202
    assert source.empty


async def test_a_redelivery_has_the_same_id() -> None:
    """SNS repeats for an hour: the same message, signed anew or not, is the same event."""
    source = case()
    await source.send(signed(notification()), TEXT)
    await source.send(signed(notification(SignatureVersion="2")), TEXT)
    assert len({event.id for event in source.events()}) == 1
    assert source.outbound.asked == [CERT]  # kept for the second


@pytest.mark.parametrize(
    "change",
    [
        {"Message": "Hello world?"},
        {"MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf325"},
        {"Subject": "My Second Message"},
        {"Subject": None},
        {"Timestamp": "2012-05-02T00:54:06.656Z"},
        {"TopicArn": TOPIC + "2"},
        {"TopicArn": None},
        {"TopicArn": [TOPIC]},
        {"Type": "SubscriptionConfirmation"},
        {"Type": "Other"},
        {"Type": None},
        {"Signature": ""},
        {"Signature": None},
        {"Signature": "ä"},
        {"Signature": base64.b64encode(b"x" * 256).decode()},
        {"SignatureVersion": "2"},
        {"SignatureVersion": "3"},
        {"SignatureVersion": None},
    ],
)
async def test_a_tampered_message_is_401_and_leaves_nothing(change: dict[str, Any]) -> None:
    """Whatever is changed after signing, the answer is 401 and nothing is stored."""
    source = case()
    answer = await source.send({**signed(notification()), **change}, TEXT)
    assert (answer.status_code, source.empty, source.outbound.confirmed) == (401, True, [])


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.us-west-2.amazonaws.com/a.pem",
        "https://sns.evil.com/a.pem",
        "https://sns.us-west-2.amazonaws.com.evil.com/a.pem",
        "https://evil.com/sns.us-west-2.amazonaws.com/a.pem",
        "https://sns.us-west-2.amazonaws.com@evil.com/a.pem",
        "https://user:pw@sns.us-west-2.amazonaws.com/a.pem",
        "https://sns.us-west-2.amazonaws.com:8443/a.pem",
        "https://sns.us-west-2.amazonaws.com:443/a.pem",
        "https://sns.us-west-2.amazonaws.com./a.pem",
        "https://s3.us-west-2.amazonaws.com/bucket/a.pem",
        "https://sns.us-west-2.s3.amazonaws.com/a.pem",
        "https://sns.us-west-2.amazonaws.com/a.pem?x=1",
        "https://sns.us-west-2.amazonaws.com/a.pem#x",
        "https://sns.us-west-2.amazonaws.com/a.txt",
        "https://sns.us-west-2.amazonaws.com/../a.pem",
        "https://sns.us-west-2.amazonaws.com\\.evil.com/a.pem",
        "https://sns.us-west-2.amazonaws.com\n/a.pem",
        "https://sns.us-wést-2.amazonaws.com/a.pem",
        "https://[::1]/a.pem",
        "https://[/a.pem",
        "file:///etc/ssl/a.pem",
        "",
        None,
        7,
    ],
)
async def test_a_certificate_elsewhere_is_never_asked_for(url: object) -> None:
    """401 without one outbound request, though the signature fits a key that lies there."""
    source = case()
    source.outbound.found = {str(url): certificate()}
    body = signed(notification())
    body["SigningCertURL"] = url
    assert (await source.send(body, TEXT)).status_code == 401
    assert (source.outbound.asked, source.empty) == ([], True)


async def test_a_foreign_topic_is_refused_before_its_certificate_is_fetched() -> None:
    """Everybody at Amazon gets good signatures: another topic, or an empty list, is 401 and asks nothing."""
    for trust in (TRUST, Trust()):
        source = case(trust)
        body = signed(
            notification(TopicArn="arn:aws:sns:us-west-2:666666666666:Mine" if trust is TRUST else TOPIC)
        )
        assert (await source.send(body, TEXT)).status_code == 401
        assert source.outbound.asked == []


@pytest.mark.parametrize(
    "pem",
    [
        certificate("evil.com"),
        certificate("sns.amazonaws.com.evil.com"),
        certificate("sns.amazonaws.com", alternative="evil.com"),
        certificate(days=400),
        certificate(days=-2),
        certificate(bits=1024),
        certificate(curve=True),
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"",
        b"\xff",
    ],
)
async def test_a_certificate_that_is_not_good_now_is_401(pem: bytes) -> None:
    """Another name, expired, not yet valid, a short key, another kind of key, no certificate."""
    source = case(pem=pem)
    assert (await source.send(signed(notification()), TEXT)).status_code == 401
    assert source.empty


@pytest.mark.parametrize(
    ("name", "alternative"),
    [
        ("sns.amazonaws.com", ""),
        ("sns.us-west-2.amazonaws.com", ""),
        ("sns-us-gov-west-1.amazonaws.com", ""),
        ("sns.cn-north-1.amazonaws.com.cn", ""),
        ("x", "sns.us-west-2.amazonaws.com"),
    ],
)
async def test_a_certificate_of_sns_is_good(name: str, alternative: str) -> None:
    """The names that SNS's certificates bear, as common or alternative name."""
    source = case(pem=certificate(name, alternative=alternative))
    assert (await source.send(signed(notification()), TEXT)).status_code == 202


async def test_a_subscription_is_confirmed_once_everything_is_good() -> None:
    """One request, to the address that was signed; the answer is 200 and no event."""
    source = case()
    answer = await source.send(signed(handshake()), TEXT)
    assert (answer.status_code, source.outbound.confirmed, source.empty) == (200, [CONFIRM], True)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.com/?Action=ConfirmSubscription",
        CONFIRM.replace("https", "http"),
        CONFIRM.replace("amazonaws.com", "amazonaws.com.evil.com"),
        CONFIRM.replace("://", "://user@"),
        CONFIRM.replace(".com/", ".com:8443/"),
        CONFIRM.replace("ConfirmSubscription", "DeleteTopic"),
        CONFIRM + "&Action=DeleteTopic",
        CONFIRM.replace(".com/", ".com/path/"),
        "",
    ],
)
async def test_a_confirmation_that_leads_elsewhere_is_not_followed(url: str) -> None:
    """Even well signed and of a listed topic, only SNS's own ConfirmSubscription is asked for."""
    source = case()
    assert (await source.send(signed(handshake(SubscribeURL=url)), TEXT)).status_code == 401
    assert (source.outbound.confirmed, source.empty) == ([], True)


@pytest.mark.parametrize("trust", [TRUST, Trust(query_token="tok", topic_arns=frozenset({TOPIC}))])
async def test_a_subscription_without_good_signature_is_not_confirmed(trust: Trust) -> None:
    """A token in the address opens for messages, never for a confirmation."""
    source = case(trust)
    body = {**signed(handshake()), "Signature": base64.b64encode(b"x" * 256).decode()}
    assert (await source.send(body, TEXT, query="token=tok")).status_code == 401
    assert source.outbound.confirmed == []


async def test_an_unsubscription_is_answered_and_never_followed() -> None:
    """Its SubscribeURL would subscribe again."""
    source = case()
    answer = await source.send(signed(handshake("UnsubscribeConfirmation")), TEXT)
    assert (answer.status_code, source.outbound.confirmed, source.empty) == (200, [], True)


RAW = {"x-amz-sns-rawdelivery": "true", "x-amz-sns-topic-arn": TOPIC, "x-amz-sns-message-id": "m-1"}


async def test_raw_delivery_wants_a_secret() -> None:
    """It carries no signature: with the address's token it is taken, without it is 401."""
    trust = Trust(query_token="tok", topic_arns=frozenset({TOPIC}))
    records = {"Records": [record()]}
    for query, status in (("token=tok", 202), ("", 401), ("token=to", 401)):
        source = case(trust)
        assert (await source.send(records, RAW, query=query)).status_code == status
        assert len(source.events()) == (status == 202)
    source = case(trust)
    assert (await source.send(b"plain words", RAW, query="token=tok")).status_code == 202
    assert (source.only().event, source.only().payload) == ("sns.notification", {"Message": "plain words"})
    foreign = {**RAW, "x-amz-sns-topic-arn": TOPIC + "2"}
    assert (await case(trust).send(records, foreign, query="token=tok")).status_code == 401
    assert (await case().send(records, RAW)).status_code == 401


async def test_a_signed_message_sent_again_as_raw_is_the_same_event() -> None:
    """Headers are not signed: with them a captured message gets no other id."""
    source = case()
    await source.send(signed(notification()), TEXT)
    for number in ("m-1", "m-2"):
        await source.send(signed(notification()), {**RAW, "x-amz-sns-message-id": number})
    assert len({event.id for event in source.events()}) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"{}", b'{"Type":"Notification"}'])
async def test_bodies_that_are_no_message_are_401(body: bytes) -> None:
    """Nothing is proved, so nothing is stored."""
    source = case()
    assert (await source.send(body, TEXT)).status_code == 401
    assert source.empty


async def test_header_names_in_any_case_and_doubled_headers() -> None:
    """Upper-case names change nothing; a doubled type is ambiguous, hence 401."""
    upper = {name.upper(): value for name, value in TEXT.items()}
    assert (await case().send(signed(notification()), upper)).status_code == 202
    doubled = [*TEXT.items(), ("x-amz-sns-message-type", "Notification")]
    assert (await case().send(signed(notification()), doubled)).status_code == 401


async def test_a_certificate_that_cannot_be_had_now_is_503() -> None:
    """It is not the sender's fault: SNS sends the same again."""
    source = case()
    source.outbound.away = True
    answer = await source.send(signed(notification()), TEXT)
    assert (answer.status_code, answer.headers["retry-after"], source.empty) == (503, "1", True)
