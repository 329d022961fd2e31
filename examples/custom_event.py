"""An event of your own starts a flow, which is given the whole event."""

from flows import Event, event_trigger, flow


@flow(on=event_trigger("order.*", match={"country": ["de", "at", "ch"], "channel": "!test"}))
async def confirm_order(event: Event) -> str:
    """Confirm an order of a German-speaking country, unless it came by the test channel."""
    return f"{event.payload['customer']}: {event.resource_id} is on its way"
