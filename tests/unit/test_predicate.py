"""Label and name matching."""

import pytest

from flows.core.predicate import Exists, LabelMatch, Pattern, accepts, accepts_related, lookup

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("*.csv", "orders.csv", True),
        ("*.csv", "a/b\n.csv", True),
        ("*.csv", "orders.CSV", False),
        ("*", "", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("[ab]x", "bx", True),
        ("[!ab]x", "bx", False),
        ("csv", "orders.csv", False),
        ("!prod", "dev", True),
        ("!prod", "prod", False),
        ("!!x", "!x", False),
        ("!!x", "x", True),
        ("!", "", False),
        ("!", "x", True),
        ("a.c", "abc", False),
        ("(a|b)+", "(a|b)+", True),
    ],
)
def test_pattern_is_a_case_sensitive_glob_over_the_whole_value(
    pattern: str, value: str, expected: bool
) -> None:
    """A pattern is a case-sensitive shell glob over the whole value; one leading ! turns it around."""
    assert Pattern(pattern).accepts(value) is expected


def _one(label: str, *any_of: Pattern | Exists) -> LabelMatch:
    return LabelMatch(label, any_of)


def test_a_missing_label_never_matches() -> None:
    """A missing label matches neither a pattern nor a negation."""
    assert not _one("env", Pattern("*")).accepts({})
    assert not _one("env", Pattern("!prod")).accepts({})


def test_absence_can_be_asked_for() -> None:
    """`{"exists": false}` accepts exactly the resources without the label."""
    assert _one("env", Exists(wanted=False)).accepts({})
    assert not _one("env", Exists(wanted=False)).accepts({"env": "prod"})
    assert _one("env", Exists(wanted=False), Pattern("dev")).accepts({"env": "dev"})
    assert _one("env", Exists(wanted=True)).accepts({"env": ""})


def test_values_of_a_list_are_alternatives() -> None:
    """Values of one list are ORed, negations too; an empty list accepts nothing, an empty map everything."""
    assert _one("who", Pattern("dev-*"), Pattern("!dev-bot")).accepts({"who": "dev-bot"})
    assert not _one("who").accepts({"who": "x"})
    assert accepts((), {})
    assert not accepts((_one("a", Pattern("1")), _one("b", Pattern("2"))), {"a": "1", "b": "3"})


def test_the_id_and_role_labels_have_two_names() -> None:
    """`resource.id` and `prefect.resource.id` are the same label, and so are the two names of the role."""
    assert lookup({"prefect.resource.id": "x"}, "resource.id") == "x"
    assert lookup({"resource.id": "x"}, "prefect.resource.id") == "x"
    assert lookup({"prefect.resource.role": "r"}, "resource.role") == "r"
    assert lookup({"prefect.resource.name": "n"}, "resource.name") is None


def test_each_related_map_needs_one_resource_with_all_its_labels() -> None:
    """Labels of one map must be on one related resource; several maps may share one."""
    related = [{"role": "a", "tag": "1"}, {"role": "b", "tag": "2"}]
    both = (_one("role", Pattern("a")), _one("tag", Pattern("2")))
    assert not accepts_related([both], related)
    assert accepts_related([(_one("role", Pattern("a")),), (_one("tag", Pattern("1")),)], related)
    assert accepts_related([()], [])
    assert not accepts_related([(_one("role", Pattern("a")),)], [])
