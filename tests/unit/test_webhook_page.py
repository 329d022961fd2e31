"""The page about webhooks: what it shows can be configured, and its table names what there is."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from streams.source_settings import HttpSourceSettings, Source
from streams.sources.kinds import KINDS, hook_source
from streams.sources.mapping import Wording
from streams.sources.trust import Trust
from streams.sources.webhooks.hmac_settings import HEADERS, ID_HEADERS, KEYS, TIMESTAMP_HEADERS

pytestmark = pytest.mark.unit
PAGE = (Path(__file__).parents[2] / "docs/how-to/webhooks.md").read_text("utf-8")
SHOWN: dict[str, Any] = {
    name: fields
    for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    for name, fields in tomllib.loads(block)["sources"].items()
}


@pytest.mark.parametrize("name", SHOWN)
def test_what_the_page_shows_can_be_configured(name: str) -> None:
    """Each example is valid and gives a source."""
    source: HttpSourceSettings = TypeAdapter(Source).validate_python(SHOWN[name])
    wording = Wording(event=source.event, resource=source.resource, mapping=source.mapping)
    made = hook_source(source.kind, name, lambda: Trust(secrets=(b"s",), hmac=source.hmac), wording)
    assert made.credential


def test_the_page_names_every_kind_and_key() -> None:
    """Kinds of webhooks, keys of hmac and the headers that count without settings are all there."""
    kinds = {
        name
        for name, kind in KINDS.items()
        if type(kind.form()).__module__.startswith("streams.sources.webhooks")
    }
    assert kinds == {
        "none",
        "bearer",
        "basic",
        "hmac",
        "standard-webhooks",
        "github",
        "stripe",
        "slack",
        "shopify",
    }
    for name in (*kinds, *KEYS):
        assert f"`{name}`" in PAGE or f"{name} = " in PAGE, name
    for header in (*HEADERS, *TIMESTAMP_HEADERS, *ID_HEADERS):
        assert header in PAGE.lower()
