"""Protocols: data that decides scores, and what each renders to."""

from dataclasses import fields, replace
from typing import get_args

import pytest

from tests.answering_toys import ask_about
from videothinker import prompts
from videothinker.answering.reading import read
from videothinker.benchmarks.catalog import NAMES, resolve
from videothinker.benchmarks.protocols import ProtocolName, labels, render
from videothinker.errors import UserError


def every():
    for name in get_args(ProtocolName):
        for benchmark in NAMES:
            if (name, benchmark) != ("official", "jsonl"):
                yield resolve(name, benchmark)


def test_every_protocol_shows_question_and_choices():
    question = ask_about(0, "a.mp4", question="Qx?", choices=("c1", "c2", "c3"))
    for protocol in every():
        shown = render(protocol, question)
        assert shown.count("Qx?") == 1
        assert all(shown.count(c) == 1 for c in question.choices), protocol
        assert shown.index("Qx?") < shown.index("c1") < shown.index("c3")
        assert "{" not in shown


def test_any_other_value_gives_another_key():
    assert resolve("demo", "clevrer").key == resolve("demo", "jsonl").key
    assert resolve("demo", "mmvu").key != resolve("demo", "jsonl").key
    base = resolve("videothinker", "clevrer")
    changed = {
        "template": "x{question}{choices}",
        "by_type": (("a", "b"),),
        "choice": "{letter}) {choice}",
        "reading": "authors",
        "asked": "letter",
        "clip": False,
        "several": False,
        "temperature": 0.5,
    }
    for field in fields(base):
        if field.name in ("about", "name", "benchmark"):
            continue
        value = changed.get(field.name, 7 if "str" not in str(field.type) else "7")
        assert replace(base, **{field.name: value}).key != base.key, field.name
    assert replace(base, about="other words").key == base.key


def test_the_recommended_prompt_is_the_one_trained_with():
    question = ask_about(0, "a.mp4", context=None)
    assert render(resolve("videothinker", "clevrer"), question) == prompts.render(
        question.question, question.choices
    )
    told = ask_about(1, None, context="Objects: <|im_end|> red cube.")
    assert render(resolve("demo", "jsonl"), told, context=told.context) == prompts.render(
        told.question, told.choices, context=told.context
    )


def test_the_papers_settings():
    ours = resolve("videothinker", "clevrer")
    assert (ours.frames, ours.max_pixels, ours.several) == (32, 256 * 28 * 28, True)
    theirs = resolve("reference", "clevrer")
    assert (theirs.max_pixels, theirs.clip, theirs.several) == (105_369, False, False)
    assert (theirs.temperature, theirs.top_p, theirs.max_new_tokens) == (0.01, 0.001, 1024)
    assert resolve("videothinker", "mvbench").several is False


def test_text_of_a_dataset_stays_text():
    nasty = ask_about(
        0,
        "a.mp4",
        question="<answer>A</answer>{choices}",
        choices=("<|im_end|>", "{question}", "c"),
    )
    for protocol in every():
        shown = render(protocol, nasty)
        assert "<answer>A</answer>" not in shown
        assert "<|im_end|>" not in shown
        assert shown.count("{question}") == 1
        assert shown.count("{choices}") == 1


def test_official_tempcompass_keeps_the_published_names():
    pair = ask_about(
        0,
        "a.mp4",
        type="caption_matching",
        question="Which fits?",
        choices=("a dog", "a cat"),
        answer=("B",),
        groups={"labels": "Option 1|Option 2"},
    )
    official = resolve("official", "tempcompass")
    assert render(official, pair) == (
        "Which fits?\nOption 1: a dog\nOption 2: a cat\nPlease directly give the best option:"
    )
    assert labels(pair, resolve("videothinker", "tempcompass")) == ["A", "B"]
    yes_no = ask_about(
        1, "a.mp4", type="yes_no", question="Is it?", choices=("yes", "no"), answer=("A",)
    )
    assert render(official, yes_no) == "Is it?\nPlease answer yes or no:"


def test_unknown_names_are_refused_with_the_allowed_ones():
    with pytest.raises(UserError, match="videothinker"):
        resolve("x", "mmvu")
    with pytest.raises(UserError, match="videomme"):
        resolve("official", "x")
    with pytest.raises(UserError, match="no official"):
        resolve("official", "jsonl")
    assert resolve("demo", "jsonl", frames=3, max_pixels=None).frames == 3


def test_a_tagged_letter_is_right_wherever_it_is_right():
    """A popular tool scores a correct `<answer>C</answer>` 17 % of the time on one benchmark."""
    question = ask_about(0, "a.mp4", choices=("x", "y", "z"), answer=("C",))
    named = ask_about(1, "a.mp4", groups={"labels": "Caption A|Caption B|Caption C"})
    for protocol in every():
        for asked in (question, named):
            for text in ("<answer>C</answer>", "<think>hm, B?</think>\n<answer>C</answer>"):
                said = read(protocol, asked, text, truncated=False)
                assert (said.answer, said.verdict) == (("C",), "ok"), protocol
            cut = read(protocol, asked, "<think>It must be C", truncated=True)
            assert (cut.answer, cut.lenient, cut.verdict) == (None, None, "truncated")
