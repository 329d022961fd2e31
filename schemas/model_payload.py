"""Payloads of typed events as instances of pydantic models, and back (`schemas.json_value` has the rules)."""

from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from schemas.misfit import Misfit
from schemas.model_schema import schema_text
from schemas.payload_shape import Record, shape_of

M = TypeVar("M", bound=BaseModel)
_MODELS_CACHED = 1024


@lru_cache(maxsize=_MODELS_CACHED)
def _shape(model: type[BaseModel], *, lenient: bool) -> Record:
    return shape_of(schema_text(model), lenient=lenient)


def instance_of(model: type[M], payload: Any) -> M:
    """Return a payload (JSON) as an instance; fields that the model does not know are left out.

    Raises Misfit naming the field: its type is not the model's, or the model's own validators refuse it.
    """
    values = _shape(model, lenient=True).read(payload)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise Misfit(first["msg"], ".".join(map(str, first["loc"]))) from None


def payload_of(instance: BaseModel) -> dict[str, Any]:
    """Return an instance as the JSON object that its event carries; raises Misfit, UnfitModel."""
    values = instance.model_dump(mode="python", by_alias=True, round_trip=True)
    return _shape(type(instance), lenient=False).write(values)
