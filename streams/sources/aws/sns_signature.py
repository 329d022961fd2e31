"""Who sent a message of Amazon SNS: its signature, by the certificate that it names, for a topic on our list.

Everybody who has an account at Amazon gets good signatures from SNS, so the list of topics is what decides.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from streams.inbound import Delivery, KeyMissing, Keys, Unauthenticated
from streams.sources.aws.sns_message import (
    NOTIFICATION,
    SUBSCRIBE,
    TYPES,
    is_certificate_address,
    is_confirmation_address,
)
from streams.sources.json_body import DEPTH_MAX
from streams.sources.shown_secret import secret_shown, token_in_address
from streams.sources.trust import Trust
from streams.strict_json import JsonRefused, loads

_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "1": hashes.SHA1(),  # noqa: S303 - as SNS signs by default; a second preimage is what would be needed
    "2": hashes.SHA256(),
}
_NOTIFICATION_FIELDS = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION_FIELDS = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_OPTIONAL_FIELDS = {"Subject"}
_CERTIFICATE_NAME = re.compile(r"sns(?:[.-][a-z0-9-]{1,40})?\.amazonaws\.com(?:\.cn)?")
_RSA_BITS_MIN = 2048


class SnsSignature:
    """A signed message of a listed topic; or a secret shown, for raw delivery, which carries no signature.

    A signed message may be old: SNS tries for an hour, and a repetition has the same id. A subscription is
    only confirmed on a signature, whatever else is shown.
    """

    def lacks(self, trust: Trust) -> str:
        """Say that no topic is on the list."""
        if trust.topic_arns or trust.secrets or trust.query_token:
            return ""
        return "it has no topic_arns, so every delivery is refused with 401"

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Believe a shown secret for messages, the signature for everything."""
        document = _document(delivery)
        shown = secret_shown(delivery, trust) or token_in_address(delivery, trust)
        if shown and (document is None or document.get("Type") not in TYPES[1:]):
            _listed(delivery, document or {}, trust)
            return
        if document is None:
            raise Unauthenticated("no message of SNS")
        if not isinstance(document.get("Type"), str) or document["Type"] not in TYPES:
            raise Unauthenticated("no type of message that SNS has")
        topic = document.get("TopicArn")
        if not isinstance(topic, str) or topic not in trust.topic_arns:
            raise Unauthenticated("the topic is not on the source's list")
        url = document.get("SigningCertURL")
        if not is_certificate_address(url):
            raise Unauthenticated("the certificate lies elsewhere")
        if document["Type"] == SUBSCRIBE and not is_confirmation_address(document.get("SubscribeURL")):
            raise Unauthenticated("the confirmation leads elsewhere")
        algorithm = _HASHES.get(str(document.get("SignatureVersion")))
        if algorithm is None:
            raise Unauthenticated("no version of signatures that SNS has")
        signed, signature = _signed_text(document), _signature(document)
        certificate = keys.get(str(url))
        if certificate is None:
            raise KeyMissing(str(url))
        try:
            _public_key(certificate, delivery.at_s).verify(signature, signed, padding.PKCS1v15(), algorithm)
        except (InvalidSignature, UnsupportedAlgorithm):
            raise Unauthenticated("the signature is wrong") from None


def _listed(delivery: Delivery, document: Mapping[str, Any], trust: Trust) -> None:
    """Raise Unauthenticated when a message says that it comes from a topic that is not on the list."""
    topic = document.get("TopicArn") if document.get("Type") in TYPES else None
    topic = str(topic) if topic else delivery.headers.one("x-amz-sns-topic-arn")
    if trust.topic_arns and topic is not None and topic not in trust.topic_arns:
        raise Unauthenticated("the topic is not on the source's list")


def _document(delivery: Delivery) -> Mapping[str, Any] | None:
    for name in ("x-amz-sns-message-type", "x-amz-sns-topic-arn", "x-amz-sns-rawdelivery"):
        delivery.headers.one(name)  # raises Doubled
    try:
        found = loads(delivery.body, depth_max=DEPTH_MAX)
    except JsonRefused:
        return None
    return found if isinstance(found, Mapping) else None


def _signed_text(document: Mapping[str, Any]) -> bytes:
    """Return what SNS signs: names and values in turn, a line each, the names sorted."""
    names = _NOTIFICATION_FIELDS if document["Type"] == NOTIFICATION else _CONFIRMATION_FIELDS
    lines: list[str] = []
    for name in names:
        value = document.get(name)
        if value is None and name in _OPTIONAL_FIELDS:
            continue
        if not isinstance(value, str):
            raise Unauthenticated("a signed field is missing")
        lines += [name, value]
    return "".join(f"{line}\n" for line in lines).encode()


def _signature(document: Mapping[str, Any]) -> bytes:
    text = document.get("Signature")
    try:
        return base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except (binascii.Error, ValueError):
        raise Unauthenticated("the signature is not base64") from None


def _public_key(pem: bytes, at_s: float) -> RSAPublicKey:
    """Return the key of a certificate of SNS that is valid at this time; raises Unauthenticated."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
        names = _names(certificate)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension):
        raise Unauthenticated("the certificate is not readable") from None
    at = datetime.fromtimestamp(at_s, UTC)
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise Unauthenticated("the certificate is not valid at this time")
    if not any(_CERTIFICATE_NAME.fullmatch(name) for name in names):
        raise Unauthenticated("the certificate is somebody else's")
    if not isinstance(key, RSAPublicKey) or key.key_size < _RSA_BITS_MIN:
        raise Unauthenticated("the certificate has no key of the kind that SNS signs with")
    return key


def _names(certificate: x509.Certificate) -> list[str]:
    """Return the host names that a certificate is for; where it lists any, its common name counts no more."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = list(found.value.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        names = []
    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return names or [str(attribute.value) for attribute in common]
