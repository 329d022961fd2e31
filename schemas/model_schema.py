"""The Avro record of a pydantic model: what its payloads look like to every other program."""

import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, RootModel
from pydantic.fields import FieldInfo
from pydantic.types import EncodedBytes, EncodedStr
from pydantic_core import PydanticUndefined

from schemas import avro_default
from schemas.compatibility import InvalidSchemaError
from schemas.payload_shape import DECIMAL_DIGITS_MAX, shape_of

_AVRO_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9_]+")
_MODELS_CACHED = 1024
_PLAIN: Mapping[Any, Any] = {
    str: "string",
    int: "long",
    float: "double",
    bool: "boolean",
    bytes: "bytes",
    UUID: {"type": "string", "logicalType": "uuid"},
    datetime: {"type": "long", "logicalType": "timestamp-micros"},
    AwareDatetime: {"type": "long", "logicalType": "timestamp-micros"},
    date: {"type": "int", "logicalType": "date"},
    time: {"type": "long", "logicalType": "time-micros"},
}
_KNOWN = (
    "str, int, float, bool, bytes, Decimal, datetime, date, time, UUID, Enum and Literal of texts, Optional, "
    "list[…], dict[str, …] and models"
)


class UnfitModel(ValueError):
    """A model that has no Avro schema; the text names the field and says what to do."""


@lru_cache(maxsize=_MODELS_CACHED)
def schema_text(model: type[BaseModel]) -> str:
    """Return the Avro schema of a model as JSON text; raises UnfitModel."""
    text = json.dumps(_Mapping().record(model, model.__name__), separators=(",", ":"))
    try:
        shape_of(text)
    except InvalidSchemaError as error:
        raise UnfitModel(f"{model.__name__}: {error}") from None
    return text


class _Mapping:
    """One model's schema; a named type is defined where it first stands."""

    def __init__(self) -> None:
        self._defined: dict[str, Any] = {}
        self._open: list[type[BaseModel]] = []

    def record(self, model: type[BaseModel], path: str) -> Any:
        if issubclass(model, RootModel):
            raise UnfitModel(f"{path}: a RootModel has no fields; use a model with fields")
        if model in self._open:
            raise UnfitModel(f"{path}: {model.__name__} holds itself, which a payload's schema cannot say")
        name = _NOT_IN_NAME.sub("_", model.__name__).strip("_")
        if self._is_known(name, model, path):
            return name
        self._open.append(model)
        fields = [self._field(key, one, name, path) for key, one in model.model_fields.items()]
        self._open.pop()
        return {"type": "record", "name": name, "fields": fields}

    def _is_known(self, name: str, owner: Any, path: str) -> bool:
        if name not in self._defined:
            self._defined[name] = owner
            return False
        if self._defined[name] is not owner:
            raise UnfitModel(f"{path}: two types are called {name}; rename one")
        return True

    def _field(self, key: str, info: FieldInfo, record: str, path: str) -> dict[str, Any]:
        name = info.alias or key
        where = f"{path}.{name}"
        given = [one for one in (info.validation_alias, info.serialization_alias) if one is not None]
        if any(one != name for one in given):
            raise UnfitModel(
                f"{where}: has several aliases; a field has one name in JSON, so give it `alias`"
            )
        if not _AVRO_NAME.fullmatch(name):
            raise UnfitModel(f"{where}: a field's name has letters, digits and _, and begins with no digit")
        if info.exclude:
            raise UnfitModel(f"{where}: is excluded from what the model writes; leave `exclude` out")
        avro = self.of(info.annotation, info.metadata, f"{record}_{name}", where)
        default = _default(info, where)
        if default is PydanticUndefined:
            return {"name": name, "type": avro}
        if default is None and not isinstance(avro, list):
            raise UnfitModel(f"{where}: its default is None; make its type Optional")
        if default is not None and isinstance(avro, list):
            avro = avro[::-1]  # Avro's default is of the first branch
        return {"name": name, "type": avro, "default": _written(avro, default, where)}

    def of(self, hint: Any, metadata: Sequence[Any], name: str, path: str) -> Any:
        """Return the Avro type of an annotation; `name` is for a type that has none of its own."""
        while hasattr(hint, "__supertype__"):  # NewType
            hint = hint.__supertype__
        if any(isinstance(one, EncodedBytes | EncodedStr) for one in metadata):
            raise UnfitModel(f"{path}: encodes by itself; use plain bytes, which JSON has as base64")
        try:
            if hint in _PLAIN:
                return _PLAIN[hint]
        except TypeError:  # an annotation that cannot be hashed is none of them
            pass
        if hint is Decimal:
            return _decimal(metadata, path)
        if isinstance(hint, type) and issubclass(hint, Enum):
            return self._enum(hint.__name__, [one.value for one in hint], hint, path)
        if isinstance(hint, type) and issubclass(hint, BaseModel):
            return self.record(hint, path)
        return self._generic(hint, metadata, name, path)

    def _generic(self, hint: Any, metadata: Sequence[Any], name: str, path: str) -> Any:
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is Annotated:
            return self.of(arguments[0], [*metadata, *hint.__metadata__], name, path)
        if origin in {typing.Union, types.UnionType}:
            real = [one for one in arguments if one is not type(None)]
            if len(real) > 1:
                raise UnfitModel(f"{path}: is a union of several types, which JSON cannot tell apart")
            inner = self.of(real[0], metadata, name, path)
            return inner if isinstance(inner, list) else ["null", inner]
        if origin is Literal:
            return self._enum(name, list(arguments), hint, path)
        if origin is list:
            return {"type": "array", "items": self.of(arguments[0], (), f"{name}_item", f"{path}[]")}
        if origin is dict and arguments[0] is str:
            return {"type": "map", "values": self.of(arguments[1], (), f"{name}_value", f"{path}{{}}")}
        shown = getattr(hint, "__name__", str(hint)) if isinstance(hint, type) else str(hint)
        raise UnfitModel(f"{path}: {shown} has no place in a schema; use {_KNOWN}")

    def _enum(self, name: str, values: list[Any], owner: Any, path: str) -> Any:
        unfit = [one for one in values if not isinstance(one, str) or not _AVRO_NAME.fullmatch(one)]
        if unfit or not values:
            raise UnfitModel(
                f"{path}: {unfit[0] if unfit else 'nothing'!r} cannot be a symbol of an Avro enum, which has "
                "letters, digits and _ and begins with no digit; use such texts, or str"
            )
        if self._is_known(name, owner, path):
            return name
        return {"type": "enum", "name": name, "symbols": values}


def _decimal(metadata: Sequence[Any], path: str) -> Any:
    found: dict[str, int] = {}
    for one in metadata:
        for item in one.metadata if isinstance(one, FieldInfo) else [one]:
            for key in ("max_digits", "decimal_places"):
                if getattr(item, key, None) is not None:
                    found[key] = getattr(item, key)
    if found.keys() != {"max_digits", "decimal_places"}:
        raise UnfitModel(
            f"{path}: a Decimal needs its digits: Field(max_digits=…, decimal_places=…), at most "
            f"{DECIMAL_DIGITS_MAX} of them"
        )
    return {
        "type": "bytes",
        "logicalType": "decimal",
        "precision": found["max_digits"],
        "scale": found["decimal_places"],
    }


def _default(info: FieldInfo, path: str) -> Any:
    if info.default_factory is None:
        return info.default
    if info.default_factory not in {list, dict}:
        raise UnfitModel(f"{path}: only list and dict may make a default; give a value, or make it Optional")
    return [] if info.default_factory is list else {}


def _written(avro: Any, default: Any, path: str) -> Any:
    """Return a default as Avro writes it into the schema; `shape_of` checks that it fits."""
    kind = avro[0] if isinstance(avro, list) else avro
    if isinstance(kind, dict) and kind.get("logicalType") == "decimal" and type(default) is int:
        default = Decimal(default)
    if isinstance(default, BaseModel) or any(isinstance(one, BaseModel) for one in _parts(default)):
        raise UnfitModel(f"{path}: a model cannot be a default; make its type Optional")
    try:
        return avro_default.default_of(avro, default)
    except (ValueError, TypeError, KeyError) as error:
        raise UnfitModel(f"{path}: its default does not fit its type ({error})") from None


def _parts(default: Any) -> Sequence[Any]:
    if isinstance(default, dict):
        return list(default.values())
    return default if isinstance(default, list | tuple) else ()
