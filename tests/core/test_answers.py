"""The one parser: what it reads, what it refuses, and what may never change its mind."""

import random
import re
import runpy
import string
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videothinker.answers import blocks, exact, parse, render_answer, soft
from videothinker.letters import read_letters
from videothinker.prompts import neutralise, render
from videothinker.training import rewards

REPO = Path(__file__).resolve().parents[2]
CHOICES = ("red cube", "blue cube", "sphere", "green cube")
LETTERS = st.sets(st.sampled_from("ABCD"), min_size=1).map(lambda s: tuple(sorted(s)))
ASKED = st.sampled_from(["tags", "letter", "sentence"])
PROSE = st.text(alphabet=string.ascii_letters + " .,:\n", max_size=60)


def boxed(body: str) -> str:
    return f"<think>t</think><answer>{body}</answer>"


@pytest.mark.parametrize(
    ("body", "strict", "lenient"),
    [
        *((b, "A", "A") for b in ("A", "a", "A.", "(A)", "**A**", "A,", " A\n", "A)", "[A]")),
        *((b, "AC", "AC") for b in ("A, C", "A,C", "C, A", "A;C", "A and C", "A C", "A/C", "AC")),
        *((b, "AC", "AC") for b in ("a, c", "A, C, C", "A , , C", "A\nC", "A. C.", "A & C")),
        *((b, "A", "A") for b in ("red cube", "Red  cube.", "A. red cube", "(A) red cube")),
        *((b, "AC", "AC") for b in ("red cube; sphere", "A. red cube\nC. sphere", "sphere\nA")),
        *((b, None, "A") for b in ("A. sphere", "A, because it moves", "Option A", "A, E")),
        *((b, None, None) for b in ("", " ", "none", "E", "T", "?", "A man", "I think")),
    ],
)
def test_every_writing_has_the_documented_reading(body, strict, lenient):
    parsed = parse(boxed(body), CHOICES, truncated=False)
    assert parsed.answer == (tuple(strict) if strict else None)
    assert parsed.lenient == (tuple(lenient) if lenient else None)
    assert parsed.verdict == ("ok" if strict else "unparsed")
    assert parsed.format


@pytest.mark.parametrize(
    ("text", "strict", "lenient", "form"),
    [
        ("<think>x</think><answer>A</answer>", "A", "A", True),
        ("<think>x</think>\n\n<answer>A</answer>\n", "A", "A", True),
        ("words <answer>A</answer>", "A", "A", False),
        ("<think>x</think> words <answer>A</answer>", "A", "A", False),
        ("<answer>A</answer> or <answer>B</answer>", None, "B", False),
        ("<answer>A</answer> again <answer>a</answer>", "A", "A", False),
        ("<think>as <answer>B</answer></think><answer>A</answer>", "A", "A", False),
        ("<think>as <answer>A</answer>", None, "A", False),
        ("<think>as <answer>A</answer></think>", None, "A", False),
        ("<think>x</think>Final answer: A", None, "A", False),
        ("The answer is (A).", None, "A", False),
        ("<Answer>A</Answer>", None, "A", False),
        ("x</think><answer>A</answer>", "A", "A", False),
        ("<think>x</think><answer>A", None, "A", False),
        ("A", None, "A", False),
        ("A dog", None, None, False),
        ("", None, None, False),
    ],
)
def test_where_the_answer_may_stand(text, strict, lenient, form):
    parsed = parse(text, CHOICES, truncated=False)
    assert parsed.answer == (tuple(strict) if strict else None)
    assert parsed.lenient == (tuple(lenient) if lenient else None)
    assert parsed.format is form
    cut = parse(text, CHOICES, truncated=True)
    assert cut.answer == parsed.answer
    if strict is None:
        assert (cut.verdict, cut.lenient) == ("truncated", None)


@pytest.mark.parametrize("text", ["A", "A. red cube", "(A)", "<answer>A</answer>", "red cube"])
def test_a_prompt_without_tags_reads_the_whole_text(text):
    assert parse(text, CHOICES, truncated=False, asked="letter").answer == ("A",)
    cut = parse("A", CHOICES, truncated=True, asked="letter")
    assert (cut.answer, cut.lenient, cut.verdict) == (None, None, "truncated")


@pytest.mark.parametrize(
    ("text", "strict"),
    [
        ("It moves. Therefore, the final answer is: $A", None),
        ("It moves. Therefore, the final answer is: C", ("C",)),
        ("The answer is A. No: the final answer is: (C).\nDone.", ("C",)),
        ("C", None),
    ],
)
def test_a_prompt_that_wants_a_last_sentence_reads_it(text, strict):
    assert parse(text, CHOICES, truncated=False, asked="sentence").answer == strict
    assert parse(text, CHOICES, truncated=True, asked="sentence").verdict == "truncated"


def test_a_choice_that_looks_like_letters_is_that_choice():
    assert read_letters("AC", ("AB", "AC", "BC")) == ("B",)
    assert read_letters("b", ("l", "v", "b")) == ("C",)
    assert read_letters("B", ("l", "v", "b")) == ("B",)
    assert read_letters("A and B", ("x", "y", "A and B")) == ("C",)
    assert read_letters("same", ("same", "same")) is None


@given(LETTERS, PROSE)
def test_what_is_rendered_is_read(letters, thinking):
    parsed = parse(render_answer(letters, thinking), CHOICES, truncated=False)
    assert (parsed.answer, parsed.lenient, parsed.verdict) == (letters, letters, "ok")
    assert parsed.format
    assert parsed.thinking == thinking.strip()


@given(LETTERS, st.permutations(range(4)), st.booleans())
def test_permuting_the_options_permutes_the_letters(letters, order, in_full):
    moved = tuple(CHOICES[i] for i in order)
    where = {"ABCD"[old]: "ABCD"[new] for new, old in enumerate(order)}
    texts = "; ".join(CHOICES["ABCD".index(x)] for x in letters)
    before = parse(boxed(texts if in_full else ", ".join(letters)), CHOICES, truncated=False)
    body = texts if in_full else ", ".join(where[x] for x in letters)
    after = parse(boxed(body), moved, truncated=False)
    assert after.answer == tuple(sorted(where[x] for x in before.answer))


@given(st.text(alphabet="ABCDE<>/ ,;.answerthink\n", max_size=80), st.booleans(), ASKED)
def test_every_text_gets_a_defined_verdict(text, truncated, asked):
    parsed = parse(text, CHOICES, truncated=truncated, asked=asked)
    assert parsed.verdict in ("ok", "unparsed", "truncated")
    assert (parsed.answer is not None) == (parsed.verdict == "ok")
    assert parsed.verdict != "unparsed" or not truncated
    if parsed.answer is not None:
        assert parsed.lenient == parsed.answer == tuple(sorted(set(parsed.answer)))
        assert set(parsed.answer) <= set("ABCD")


PIECES = st.sampled_from(
    ["<think>", "</think>", "<answer>", "</answer>", "<answer", "A", ", ", "\n", " ", "x"]
)


@given(st.lists(PIECES, max_size=14).map("".join))
def test_blocks_and_format_are_what_the_plain_patterns_say(text):
    """Backtracking patterns say it in a line, and take quadratic time to."""
    for name in ("think", "answer"):
        assert blocks(text, name) == re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    inside = r"(?:(?!</?(?:think|answer)>).)*"
    whole = rf"\s*<think>{inside}</think>\s*<answer>{inside}</answer>\s*"
    parsed = parse(text, CHOICES, truncated=False)
    assert parsed.format is (re.fullmatch(whole, text, re.DOTALL) is not None)


def growth(read: Callable[[str], object], begin: str, unit: str, end: str) -> float:
    """How many times as long four times the text takes: CPU time here, least of three."""
    found = []
    for size in (25_000, 100_000):
        text, spent = begin + unit * (size // len(unit)) + end, []
        for _ in range(3):
            start = time.process_time()
            read(text)
            spent.append(time.process_time() - start)
        found.append(max(min(spent), 1e-3))
    return found[1] / found[0]


def adversaries() -> list[tuple[str, str, str]]:
    """Beginning, what is repeated, end: tags without an end, pairs, and draws of what is read."""
    parts = [
        *(
            "<answer>",
            "</answer>",
            "<think>",
            "</think>",
            "A",
            "B",
            " ",
            "\n",
            ", ",
            "and",
            "(",
            ")",
        ),
        *(
            "\\boxed{",
            "}",
            "$",
            "the answer is",
            ":",
            ".",
            ";",
            "sphere",
            "-",
            "*",
            "'",
            "not",
            "Ａ",
        ),
    ]
    draw = random.Random(0)
    units = ["<answer>", "<think>", "<think>x</think><answer>A</answer>", "A ", "A, (", "sphere;"]
    units += ["".join(draw.choices(parts, k=draw.randint(1, 5))) for _ in range(18)]
    ends = [("", ""), ("<think>", "!"), ("<answer>", "?</answer>"), ("A ", "")]
    return [
        (*ends[i % len(ends)][:1], unit, ends[i % len(ends)][1]) for i, unit in enumerate(units)
    ]


@pytest.mark.parametrize(("begin", "unit", "end"), adversaries())
@pytest.mark.parametrize("asked", ["tags", "letter"])
def test_four_times_the_text_takes_four_times_the_time(begin, unit, end, asked):
    """Of what is quadratic it takes 16 times, and a megabyte takes minutes."""
    read = partial(parse, choices=CHOICES, truncated=False, asked=asked)
    assert growth(read, begin, unit, end) < 8


@pytest.mark.parametrize("unit", [" ", "< ", "<think", "/", "<|", "<|x"])
def test_so_does_making_tags_plain_words(unit):
    assert growth(neutralise, "<", unit, "x>") < 8


def test_rewards_count_a_complete_answer_although_the_text_was_cut_behind_it():
    texts = ["<think>x</think><answer>A</answer>", "<think>x", "<answer>A, C</answer> and"]
    cut = [False, True, True]
    columns = {"choices": [CHOICES] * 3, "answer": [("A", "C")] * 3, "truncated": cut}
    pairs = {"question_id": list("xyz"), "partner_success": [1.0] * 3}
    for function, found, more in (
        (rewards.soft_accuracy, [0.5, 0, 1], {}),
        (rewards.format, [1, 0, 0], {}),
        (rewards.pair_consistency, [0, 0, 1], pairs),
    ):
        assert function(prompts=[""] * 3, completions=texts, **columns, **more) == found


@given(st.sampled_from(["<answer>A</answer>", "<think>x</think><answer>A</answer>"]), PROSE)
def test_a_copied_question_buys_nothing(tags, prose):
    question = neutralise(f"{prose} {tags}")
    parsed = parse(question, CHOICES, truncated=False)
    assert (parsed.answer, parsed.format) == (None, False)
    shown = render(f"Say {tags}", ("<answer>A</answer>", "b"), template="{question}\n{choices}")
    assert parse(shown, ("x", "b"), truncated=False).answer is None


def test_scores_by_hand():
    assert exact(("A", "C"), ("A", "C")) == 1
    assert exact(("A",), ("A", "C")) == exact(None, ("A",)) == exact(None, ()) == exact((), ()) == 0
    assert soft(("A",), ("A", "C")) == 0.5
    assert soft(("A", "C"), ("A", "C")) == 1
    assert soft(("A", "B"), ("A", "C")) == soft((), ("A",)) == soft(None, ("A",)) == 0


def test_thinking_with_tags_is_not_rendered():
    with pytest.raises(ValueError, match="neutralise"):
        render_answer(("A",), "x</think>")


def test_the_documented_table_is_what_the_real_rollouts_give(shared):
    script = runpy.run_path(str(REPO / "scripts" / "answers_table.py"))
    log = shared / "rollouts" / "qwen7b_clevrer_rollouts.log"
    doc = (REPO / "docs" / "answers.md").read_text()
    assert script["replaced"](doc, script["table"](log)) == doc
    texts = script["rollouts"](log)
    assert len(texts) == len(re.findall(r"^Model output|\| Model output: ", log.read_text()))
    # against the plainest reading there is: one block, capitals and commas
    for text in texts:
        plain = re.findall(r"<answer>\s*([A-D](?:\s*,\s*[A-D])*)\s*</answer>", text)
        parsed = parse(text, ("", "", "", ""), truncated=False)
        if len(plain) == 1 and text.count("<answer>") == 1 and "</think>" in text:
            assert parsed.answer == tuple(sorted(set(re.findall("[A-D]", plain[0]))))
