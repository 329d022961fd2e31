"""Prefect's EventFilter: its members are ANDed, the values of a member ORed; null is as good as absent.

One matcher serves what is stored and what is live, so a filter means one thing (Prefect's own has three
answers), and `related`, which Prefect passes over on the live stream, holds there too.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from flows.core.predicate import LabelMap, LabelMatch, Pattern, accepts, lookup
from schemas.event import PREFECT_ID_LABEL, PREFECT_ROLE_LABEL, micros
from streams.errors import BadInput
from streams.gateway.live.event import LiveEvent
from streams.gateway.prefect import text_query

_VALUES_MAX = 500
_OBJECTS_MAX = 20
_Text = Annotated[str, StringConstraints(max_length=2_048)]
_Texts = Annotated[list[_Text], Field(max_length=_VALUES_MAX)] | None
_Labels = Annotated[dict[_Text, _Text | list[_Text]], Field(max_length=_VALUES_MAX)] | None


class _Member(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))


def _in_utc(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


_Time = Annotated[datetime, AfterValidator(_in_utc)] | None


class Occurred(_Member):
    """When it happened; both ends belong to it."""

    since: _Time = None
    until: _Time = None

    def includes(self, event: LiveEvent) -> bool:
        at = event.record.occurred
        return (self.since is None or micros(self.since) <= at) and (
            self.until is None or at <= micros(self.until)
        )


class Name(_Member):
    """The event's name."""

    prefix: _Texts = None
    exclude_prefix: _Texts = None
    name: _Texts = None
    exclude_name: _Texts = None

    def includes(self, event: LiveEvent) -> bool:
        name = event.record.event
        return (
            (not self.prefix or name.startswith(tuple(self.prefix)))
            and not (self.exclude_prefix and name.startswith(tuple(self.exclude_prefix)))
            and (not self.name or name in self.name)
            and not (self.exclude_name and name in self.exclude_name)
        )


class _Labelled(_Member):
    """What a filter may say of one resource."""

    id: _Texts = None
    labels: _Labels = None

    @cached_property
    def label_map(self) -> LabelMap:
        return tuple(
            LabelMatch(label, tuple(Pattern(one) for one in ([value] if isinstance(value, str) else value)))
            for label, value in (self.labels or {}).items()
        )

    def fits(self, labels: dict[str, str]) -> bool:
        return (not self.id or lookup(labels, PREFECT_ID_LABEL) in self.id) and accepts(
            self.label_map, labels
        )


class _Prefixed(_Labelled):
    id_prefix: _Texts = None

    def fits(self, labels: dict[str, str]) -> bool:
        prefixes = tuple(self.id_prefix or ())
        return super().fits(labels) and (
            not prefixes or (lookup(labels, PREFECT_ID_LABEL) or "").startswith(prefixes)
        )


class Resource(_Prefixed):
    """The resource that it happened to."""

    distinct: bool | None = None  # a matter of stored events only; Prefect's live stream passes over it

    def includes(self, event: LiveEvent) -> bool:
        return self.fits(event.resource)


class Related(_Labelled):
    """One related resource, for which everything said must hold."""

    role: _Texts = None
    resources_in_roles: Annotated[list[tuple[_Text, _Text]], Field(max_length=_VALUES_MAX)] | None = None

    def fits(self, labels: dict[str, str]) -> bool:
        role = lookup(labels, PREFECT_ROLE_LABEL)
        return (
            super().fits(labels)
            and (not self.role or role in self.role)
            and (
                not self.resources_in_roles
                or (lookup(labels, PREFECT_ID_LABEL), role) in self.resources_in_roles
            )
        )

    def includes(self, event: LiveEvent) -> bool:
        says_nothing = not (self.id or self.role or self.resources_in_roles or self.labels)
        return says_nothing or any(map(self.fits, event.related))


class AnyResource(_Prefixed):
    """The resource or a related one."""

    def includes(self, event: LiveEvent) -> bool:
        return self.fits(event.resource) or any(map(self.fits, event.related))


class Id(_Member):
    """The event's id."""

    id: Annotated[list[UUID], Field(max_length=_VALUES_MAX)] | None = None

    @cached_property
    def texts(self) -> frozenset[str]:
        return frozenset(map(str, self.id or ()))

    def includes(self, event: LiveEvent) -> bool:
        return not self.id or event.record.id in self.texts


class Text(_Member):
    """A search by text."""

    query: Annotated[str, StringConstraints(max_length=text_query.QUERY_CHARS_MAX)]

    @cached_property
    def parsed(self) -> text_query.TextQuery:
        return text_query.parse(self.query)

    def includes(self, event: LiveEvent) -> bool:
        return self.parsed.accepts(event.text)


_Some = Annotated[list[Related], Field(max_length=_OBJECTS_MAX)]
_SomeAny = Annotated[list[AnyResource], Field(max_length=_OBJECTS_MAX)]


class EventFilter(_Member):
    """The whole; `order` is taken and passed over: a stream has its own."""

    occurred: Occurred | None = None
    event: Name | None = None
    resource: Resource | None = None
    related: Related | _Some | None = None
    any_resource: AnyResource | _SomeAny | None = None
    id: Id | None = None
    text: Text | None = None
    order: Literal["ASC", "DESC"] | None = None

    def wants(self, event: LiveEvent) -> bool:
        """Tell whether an event passes; what is cheap is asked first."""
        return all(member.includes(event) for member in self._members)

    @cached_property
    def _members(self) -> Sequence[Any]:
        related = self.related if isinstance(self.related, list) else [self.related]
        anywhere = self.any_resource if isinstance(self.any_resource, list) else [self.any_resource]
        members: Iterable[Any] = (
            self.event,
            self.occurred,
            self.id,
            self.resource,
            *related,
            *anywhere,
            self.text,
        )
        return tuple(member for member in members if member is not None)


def read_filter(document: object) -> EventFilter:
    """Return the filter; null is the empty one. Raises BadInput naming the first fault."""
    try:
        return EventFilter.model_validate({} if document is None else document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the filter"
        raise BadInput(f"{where}: {first['msg']}") from None
