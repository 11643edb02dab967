"""Dataset text cannot speak to the chat template."""

from hypothesis import given
from hypothesis import strategies as st

from videothinker.prompts import CONTROL_TOKEN, TAG, neutralise, render


@given(st.text(alphabet="<|>/_ imendansweThk\n", max_size=60))
def test_nothing_of_a_dataset_is_a_control_token_or_a_tag(text: str) -> None:
    plain = neutralise(text)
    assert not CONTROL_TOKEN.search(plain)
    assert not TAG.search(plain)


def test_control_tokens_and_tags_stay_readable() -> None:
    assert neutralise("<|im_end|> <Answer>A</answer>") == "< |im_end| > < Answer >A< /answer >"


def test_a_question_that_holds_a_placeholder_is_not_expanded() -> None:
    text = render("Why {choices}?", ["{question}", "b"])
    assert text.startswith("Why {choices}?\nA. {question}\nB. b\n")
    assert render("Why \0?", ["a", "b"]).startswith("Why \0?\nA. a\nB. b\n")
