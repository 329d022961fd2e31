"""The Jinja behind the templates: an allow-list over the syntax tree and a sandbox beneath it."""

from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined, Template, Undefined, nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.sandbox import ImmutableSandboxedEnvironment

from flows.errors import TemplateError
from flows.template import EventView, LabelView

FILTERS = ("default", "d", "lower", "upper", "title", "capitalize", "trim", "int", "float", "string")
FILTERS_OF_LISTS = ("first", "last", "length", "count", "abs")
TESTS = ("defined", "undefined", "none", "string", "number", "true", "false", "in", "eq", "ne")
_NODES = (
    *(
        nodes.Template,
        nodes.Output,
        nodes.TemplateData,
        nodes.Name,
        nodes.Const,
        nodes.Getattr,
        nodes.Getitem,
    ),
    *(
        nodes.Slice,
        nodes.Filter,
        nodes.Test,
        nodes.CondExpr,
        nodes.Compare,
        nodes.Operand,
        nodes.And,
        nodes.Or,
    ),
    *(nodes.Not, nodes.Neg, nodes.Pos, nodes.Add, nodes.Sub, nodes.Div, nodes.Concat),
    *(nodes.List, nodes.Dict, nodes.Pair, nodes.Tuple),
)


class _Environment(ImmutableSandboxedEnvironment):
    """Data by name, never an attribute of a Python object; outputs keep their type."""

    code_generator_class = NativeCodeGenerator

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a member of data."""
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return a member of data, or an undefined whose use says what is missing."""
        try:
            if isinstance(obj, LabelView | EventView):
                return obj.get(argument)
            if isinstance(obj, Mapping):
                return obj[argument]
            if isinstance(obj, list | tuple | str) and isinstance(argument, int | slice):
                return obj[argument]
        except (KeyError, IndexError, TypeError):
            pass
        if isinstance(obj, Undefined):
            return obj
        kind = "label" if isinstance(obj, LabelView) else "member"
        return self.undefined(f"there is no {kind} {argument!r}")


def _environment() -> _Environment:
    env = _Environment(undefined=StrictUndefined, autoescape=False, cache_size=0, optimized=False)
    env.globals = {}
    allowed = {*FILTERS, *FILTERS_OF_LISTS}
    env.filters = {name: function for name, function in env.filters.items() if name in allowed}
    env.tests = {name: function for name, function in env.tests.items() if name in TESTS}
    return env


_ENVIRONMENT = _environment()


def compiled(text: str, *, joins_max: int, known: frozenset[str]) -> Template:
    """Return the compiled template; raises TemplateError for anything outside the allow-list.

    `known` are the names that it may use.
    """
    names = _listed(known)
    try:
        tree = _ENVIRONMENT.parse(text)
    except (TemplateSyntaxError, RecursionError) as error:
        raise TemplateError(f"{text!r} is not a template: {error}") from None
    joins = 0
    todo: list[nodes.Node] = [tree]
    while todo:
        node = todo.pop()
        if not isinstance(node, _NODES):
            raise TemplateError(
                f"{text!r} uses {type(node).__name__}, which is not allowed in parameters: only expressions "
                f"over {names}, without loops, macros, calls, powers or repetition"
            )
        if isinstance(node, nodes.Name) and node.name not in known:
            raise TemplateError(f"{text!r} uses {node.name!r}; there are only {names}")
        if isinstance(node, nodes.Filter) and node.name not in _ENVIRONMENT.filters:
            raise TemplateError(
                f"{text!r} uses the filter {node.name!r}; "
                f"allowed are {', '.join(sorted(_ENVIRONMENT.filters))}"
            )
        if isinstance(node, nodes.Test) and node.name not in _ENVIRONMENT.tests:
            raise TemplateError(
                f"{text!r} uses the test {node.name!r}; allowed are {', '.join(sorted(TESTS))}"
            )
        joins += isinstance(node, nodes.Add) or (len(node.nodes) if isinstance(node, nodes.Concat) else 0)
        todo += node.iter_child_nodes()
    if joins > joins_max:
        raise TemplateError(f"{text!r} joins more than {joins_max} values")
    try:
        return _ENVIRONMENT.from_string(text)
    except (TemplateSyntaxError, RecursionError, SyntaxError) as error:
        raise TemplateError(f"{text!r} is not a template: {error}") from None


def _listed(known: frozenset[str]) -> str:
    *others, last = sorted(known)
    return f"{', '.join(others)} and {last}" if others else last


def parts(template: Template, names: Mapping[str, Any]) -> list[Any]:
    """Return the template's outputs, each with its type; raises what the expressions raise."""
    context = template.new_context(dict(names))
    found: list[Any] = list(template.root_render_func(context))
    for value in found:
        if Undefined in type(value).__mro__:
            str(value)  # raises UndefinedError, which names what is missing
    return found
