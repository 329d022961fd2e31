"""The description of the HTTP API, kept by hand in openapi.json; tests hold it to the routes there are."""

from pathlib import Path

DOCUMENT = Path(__file__).with_name("openapi.json").read_bytes()
