"""Why input became a dead letter; what is kept says where and with which bytes."""

from enum import StrEnum


class Stage(StrEnum):
    """Which stage could not use it."""

    DOOR = "door"
    TRANSLATE = "translate"
    ROUTER = "router"
    EVALUATE = "evaluate"
    RUN = "run"
    SINK = "sink"


class Reason(StrEnum):
    """What was wrong with it. There is no `unknown`: whoever refuses says why."""

    TRUNCATED = "truncated"  # it ends too early, or has no value at all
    WRONG_MAGIC = "wrong_magic"  # not in Confluent's wire format
    UNKNOWN_SCHEMA = "unknown_schema"  # the registry has no such id
    WRONG_SCHEMA = "wrong_schema"  # a schema of another topic
    UNDECODABLE = "undecodable"  # the bytes are not what their schema says
    TOO_LARGE = "too_large"
    NOT_TEXT = "not_text"  # a key that is no text
    MALFORMED_JSON = "malformed_json"
    UNKNOWN_FORMAT = "unknown_format"  # JSON, but no notification that the source knows
    UNUSABLE_RECORD = "unusable_record"  # one record of a notification
    WRONG_PAYLOAD = "wrong_payload"  # the schema of its event name says otherwise
    UNDECODABLE_NAME = "undecodable_name"  # a file name that is not UTF-8
    UNROUTABLE = "unroutable"  # matching failed
    UNKNOWN_TRIGGER = "unknown_trigger"  # a candidate of a trigger that was never defined
    UNDECIDABLE = "undecidable"  # evaluation failed
    WRONG_PARTITION = "wrong_partition"  # a run request where its run does not belong
    INVALID = "invalid"  # a run request whose parameters are no JSON object
    REFUSED_BY_STORE = "refused_by_store"
