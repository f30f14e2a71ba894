r"""`{a|b}` and `__name__`: chosen by seed, and never where they were escaped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.wildcards import WildcardError, longest, resolved

LISTS = {"colour": ["red", "green"], "one": ["x"]}


def said(text: str, seed: int = 1) -> str:
    return resolved(text, LISTS, seed, "prompt")


def test_what_is_chosen_follows_from_the_seed() -> None:
    text = "a {big|small|tiny} __colour__ {fox|cat}"
    assert {said(text, 7) for _ in range(5)} == {said(text, 7)}
    assert len({said(text, seed) for seed in range(200)}) == 12
    assert said(text, 7) == "a tiny green fox"  # for ever: a run is made again by its seed


def test_two_texts_of_one_seed_choose_apart() -> None:
    text = "{a|b}" * 40
    assert resolved(text, LISTS, 1, "prompt") != resolved(text, LISTS, 1, "negative_prompt")


@pytest.mark.parametrize(
    ("text", "is_said"),
    [
        (r"\{a\|b\}", "{a|b}"),
        (r"{\{|\{}", "{"),
        ("{one}", "{one}"),
        ('{"a": "__one__"}', '{"a": "x"}'),
        ("a|b", "a|b"),
        (r"\__one__", "__one__"),
        ("a __ b __", "a __ b __"),
        ("____", "____"),
        (r"(soft:1.2), \(round\)", r"(soft:1.2), \(round\)"),
        ("{|}", ""),
        ("{{x|x}|{x|x}}", "x"),
        ("{__one__|x}", "x"),
        ("", ""),
    ],
)
def test_what_is_not_to_be_chosen_stays(text: str, is_said: str) -> None:
    assert said(text) == is_said


@pytest.mark.parametrize("text", ["{a|b", "a}", "{a|{b}", "__nothing__", "{" * 30 + "a|b" + "}" * 30])
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(WildcardError):
        said(text)


@given(st.text(alphabet="{}|\\_ab1", max_size=60), st.integers())
def test_whatever_is_written_is_said_or_refused(text: str, seed: int) -> None:
    try:
        spoken = said(text, seed)
    except WildcardError:
        return
    assert len(spoken) <= longest(text, LISTS)
    assert spoken == said(text, seed)
