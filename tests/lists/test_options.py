"""Choices by their own names: what each row of made-up items is read as, by hand."""

import pytest

from tests.lists.test_reading_shapes import ASKED, read, said


@pytest.mark.parametrize(
    ("options", "answer", "meant", "guessed"),
    [
        (["B. right", "A. left"], "A", (("right", "left"), ("B",)), ""),
        (["B. right", "A. left"], "B. right", (("right", "left"), ("A",)), ""),
        (["C. up", "A. left", "B. right"], ["C", "B"], (("up", "left", "right"), ("A", "C")), ""),
        (["2. right", "1. left"], 1, (("right", "left"), ("B",)), ""),
        (
            ["B. left", "C. right", "D. up"],
            "B",
            (("left", "right", "up"), ("A",)),
            "B, C, D",
        ),
        (
            ["A. left", "B. right", "D. up"],
            "D",
            (("left", "right", "up"), ("C",)),
            "A, B, D",
        ),
        (
            ["2. left", "3. right", "4. up"],
            "3",
            (("left", "right", "up"), ("B",)),
            "2, 3, 4",
        ),
        (
            ["B. right", "A. left"],
            0,
            (("right", "left"), ("A",)),
            "as they stand",
        ),
        (["J. Smith", "nobody"], "J. Smith", (("J. Smith", "nobody"), ("A",)), ""),
        (["A.M.", "P.M."], "P.M.", (("A.M.", "P.M."), ("B",)), ""),
        (["3. floor", "5. floor"], "5. floor", (("3. floor", "5. floor"), ("B",)), ""),
    ],
)
def test_an_answer_is_a_choice_by_the_name_that_it_has_in_its_row(
    tmp_path, options, answer, meant, guessed
):
    row = {"video": "a.mp4", "question": ASKED[0], "options": options, "answer": answer}
    found = read(tmp_path, [row])
    assert said(found) == [(ASKED[0], *meant)]
    assert guessed in " ".join(found.guesses())
    assert bool(found.guesses()) == bool(guessed)


def test_a_row_in_our_own_words_has_its_own_letters_too(tmp_path):
    row = {"id": "1", "dataset": "d", "split": "train", "type": "t", "context": "seen"}
    row |= {"question": ASKED[0], "choices": ["B. right", "A. left"], "answer": ["A"]}
    assert said(read(tmp_path, [row])) == [(ASKED[0], ("right", "left"), ("B",))]


def objects(names, texts, key):
    return [{key: name, "text": text} for name, text in zip(names, texts, strict=True)]


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (objects("BA", ("left", "right"), "label"), "A"),
        (objects("BA", ("left", "right"), "key"), "A. right"),
        (objects((1, 0), ("left", "right"), "choice_id"), 0),
        (objects((2, 1), ("left", "right"), "id"), "1"),
        ({"label": ["B", "A"], "text": ["left", "right"]}, "A"),
        (objects((71, 70), ("left", "right"), "id"), "B"),  # names nothing
        (objects("AA", ("left", "right"), "label"), "right"),
        ([*objects("A", ["left"], "label"), "right"], "B"),
    ],
)
def test_a_label_beside_a_choice_is_its_name(tmp_path, options, answer):
    row = {"video": "a.mp4", "question": ASKED[0], "options": options, "answer": answer}
    found = read(tmp_path, [row])
    assert said(found) == [ASKED]
    assert found.guesses() == []


@pytest.mark.parametrize("word", ["nan", "NaN", "None", "<NA>", "NULL"])
def test_cells_that_say_they_are_empty_are_and_that_is_a_guess(tmp_path, word):
    row = {"video": "a.mp4", "question": ASKED[0], "option_a": "left", "option_b": "right"}
    found = read(tmp_path, [row | {"option_c": word, "option_d": "", "answer": "B"}], "list.csv")
    assert said(found) == [ASKED]
    assert any(word in guess for guess in found.guesses())
    kept = read(tmp_path, [{**row, "option_b": f"{word} of these", "answer": "B"}], "list.csv")
    assert kept.questions[0].choices == ("left", f"{word} of these")


def test_an_answer_may_be_named_by_the_column_of_its_choice(tmp_path):
    row = {"video": "a.mp4", "question": ASKED[0], "option1": "left", "option2": "right"}
    assert said(read(tmp_path, [row | {"answer": "option2"}], "list.csv")) == [ASKED]
