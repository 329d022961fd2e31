"""`ensue sources test` for a queue: how many messages wait, or why it cannot be told; none is taken."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from streams.cli.source_look import look
from streams.errors import Transport
from streams.settings import Settings
from streams.source_settings import SqsSource

pytestmark = pytest.mark.unit


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, SqsSource]]:
    """A queue of moto's with three messages, and the source that would read it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client("sqs", endpoint_url=url, region_name="us-east-1")
    queue_url = client.create_queue(QueueName="landing")["QueueUrl"]
    for number in range(3):
        client.send_message(QueueUrl=queue_url, MessageBody=str(number))
    yield client, SqsSource(kind="sqs", queue_url=queue_url, region="us-east-1", endpoint_url=url)
    client.close()
    server.stop()


def test_a_queue_is_looked_at_and_left_as_it_is(
    queue: tuple[Any, SqsSource], capsys: pytest.CaptureFixture[str]
) -> None:
    """The count is told twice the same, since nothing was received."""
    client, source = queue
    look(Settings(), "landing", source, as_json=False)
    assert capsys.readouterr().out == f"landing: ok, about 3 messages wait in {source.queue_url}\n"
    look(Settings(), "landing", source, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["kind"], told["waiting"]) == (True, "sqs", 3)
    assert len(client.receive_message(QueueUrl=source.queue_url, MaxNumberOfMessages=10)["Messages"]) == 3


def test_a_queue_that_is_not_there_is_named(queue: tuple[Any, SqsSource]) -> None:
    """The address is in the error."""
    _, source = queue
    gone = source.model_copy(update={"queue_url": f"{source.queue_url}-gone"})
    with pytest.raises(Transport, match=r"-gone refuses or does not answer"):
        look(Settings(), "landing", gone, as_json=False)
