"""Which addresses the gateway may ask for: providers' keys and confirmations, and nothing else they host."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

URL_CHARS_MAX = 2048
# Fewer than RFC 3986 lets stand in an address: where one has a backslash, an @, a line break or a letter that
# only looks like another, two readers of it may come to different hosts.
_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?!$&'()*+,;=%-]+")
# A region's own shape: `sns.s3.amazonaws.com` would be somebody's bucket of the name `sns`.
_REGION = (
    r"[a-z]{2}(-[a-z]{2,6})?-(north|south|east|west|central|northeast|northwest|southeast|southwest)-[0-9]"
)
_SNS = rf"sns\.{_REGION}\.amazonaws\.com(\.cn)?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Addresses of one service.

    Attributes:
        host: Pattern of the whole host name, lower case.
        path: Pattern of the whole path as it goes over the wire.
        query: Pattern of the whole query; none by default.

    """

    host: str
    path: str
    query: str = ""

    def holds(self, address: httpx.URL) -> bool:
        """Tell whether the address lies here."""
        path, _, query = address.raw_path.decode("ascii").partition("?")
        return all(
            re.fullmatch(pattern, found) is not None
            for pattern, found in ((self.host, address.host), (self.path, path), (self.query, query))
        )


KEYS = (
    Place(host=_SNS, path=r"/SimpleNotificationService-[0-9A-Za-z]{1,64}\.pem"),
    # The same host serves everybody's buckets, so the path counts too.
    Place(host=r"www\.googleapis\.com", path=r"/oauth2/v[13]/certs"),
    Place(host=r"login\.microsoftonline\.com", path=r"/[0-9A-Za-z.-]{1,100}/discovery/(v2\.0/)?keys"),
)
CONFIRMATIONS = (
    Place(
        host=_SNS, path="/", query=r"(?!.*&Action=)Action=ConfirmSubscription&[0-9A-Za-z%&=:._~+/-]{1,1800}"
    ),
)


def address_in(places: Sequence[Place], url: str) -> httpx.URL | None:
    """Return the address exactly as it will be asked for; None when it lies in none of the places.

    Only https on its own port, without a user, a fragment, or a character that an address cannot have.
    """
    if len(url) > URL_CHARS_MAX or _CHARACTERS.fullmatch(url) is None:
        return None
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        return None
    if address.scheme != "https" or address.port is not None:  # httpx drops a port that is the scheme's own
        return None
    return address if any(place.holds(address) for place in places) else None
