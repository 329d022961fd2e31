"""Three failed logins of one user start a flow, which is given all three events."""

from flows import Event, event_trigger, flow


@flow(on=event_trigger("login.failed", threshold=3, for_each="user"))
def lock_account(events: list[Event]) -> dict[str, object]:
    """Lock the account and keep where the attempts came from."""
    user = events[0].resource["user"]
    return {"locked": user, "from": [event.payload["address"] for event in events]}
