"""The benchmarks as downloaded: real files where they may be used, else small synthetic ones."""

import json
import sys
import types
from pathlib import Path

import msgspec
import pytest

from videothinker.benchmarks import (
    catalog,
    jsonl,
    mmvu,
    mvbench,
    tempcompass,
    video_holmes,
    videomme,
)
from videothinker.benchmarks.base import Benchmark, group_of, tier_of
from videothinker.errors import UserError
from videothinker.records import Diagnosis, Question, write_jsonl

HOLMES = {
    "video ID": "abc",
    "Question ID": 7,
    "Question Type": "SR",
    "Question": "Who?",
    "Options": {letter: f"option {letter}" for letter in "ABCDEF"},
    "Answer": "C",
    "Explanation": "because",
}
MVBENCH = {"video": "v.mp4", "question": "What?", "candidates": ["x", "y"], "answer": "y"}
MME = {
    "video_id": "001",
    "duration": "short",
    "domain": "Knowledge",
    "sub_category": "Astronomy",
    "url": "https://example.org/v",
    "videoID": "fFjv93ACGo8",
    "question_id": "001-1",
    "task_type": "Counting Problem",
    "question": "How many?",
    "options": ["A. one", "B. two", "C. three", "D. four."],
    "answer": "C",
}


def put(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def put_mvbench(root: Path, **changes: object) -> Path:
    for task in mvbench.TASKS:
        row = MVBENCH | (changes if task == "action_sequence" else {})
        put(root / "json" / f"{task}.json", [row, MVBENCH])
    return root


def put_tempcompass(root: Path, **rows: list[dict[str, str]]) -> Path:
    files = {
        "multi-choice": [{"question": "Doing?\nA. run\nB. sit", "answer": "B. sit"}],
        "yes_no": [{"question": "Is it running?", "answer": "no"}],
        "caption_matching": [
            {"question": "Which?\nOption 1: a dog\nOption 2: a cat", "answer": "Option 2: a cat"}
        ],
        "captioning": [{"question": "Write.", "answer": "B. sit"}] * 3,
        **rows,
    }
    for kind, questions in files.items():
        put(root / "questions" / f"{kind}.json", {"123": {"action": questions}})
    return root


def test_mmvu_as_published(shared):
    found = catalog.load("mmvu", shared / "mmvu")
    assert found.wrong_counts() == []
    assert len(mmvu.DISCIPLINE) == 27
    first = found.questions[0]
    assert (first.id, first.video, first.answer) == (
        "mmvu/validation_1",
        "videos/Chemistry/0.mp4",
        ("A",),
    )
    assert sum(group_of(q, "discipline") == "Healthcare" for q in found.questions) == 121
    raw = json.loads((shared / "mmvu" / "validation.json").read_text())
    closed = {f"mmvu/{r['id']}": r for r in raw if r["question_type"] == "multiple-choice"}
    for question in found.questions:
        row = closed[question.id]
        assert question.choices["ABCDE".index(question.answer[0])] == row["choices"][row["answer"]]


def test_tempcompass_as_published(shared, tmp_path):
    (tmp_path / "questions").symlink_to(shared / "tempcompass")
    found = catalog.load("tempcompass", tmp_path)
    assert found.wrong_counts() == []
    for question in found.questions:
        if question.type == "caption_matching":
            names = question.groups["labels"].split("|")
            assert names in (
                ["Option 1", "Option 2"],
                ["Caption A", "Caption B"],
                ["Sentence A", "Sentence B"],
            )


def test_the_authors_lists(shared):
    holmes = catalog.load("video-holmes-list", shared / "video-holmes" / "questions.json")
    assert holmes.wrong_counts() == []
    lists = catalog.load("mvbench-list", shared / "mvbench" / "questions.json")
    assert lists.wrong_counts() == []
    assert len(lists.questions) == 4000
    assert lists.wrong_counts() == []
    assert sum(q.clip is not None for q in lists.questions) == 1000
    assert sum(len(q.choices) == 1 for q in lists.questions) == 5
    raw = json.loads((shared / "mvbench" / "questions.json").read_text())
    for question, row in zip(lists.questions, raw, strict=True):
        right = question.choices["ABCDEFG".index(question.answer[0])]
        assert right == row["answer"].strip() or row["answer"] in right


def test_a_question_that_comes_twice_counts_once():
    one = Question(
        id="q",
        dataset="d",
        split="s",
        question="?",
        type="t",
        context="c",
        choices=("x",),
        answer=("A",),
    )
    twice = Benchmark("b", (one, one), (), ("type",), {"questions": 2, "type t": 3, "type u": 0})
    assert twice.wrong_counts() == [
        "questions: 1 found, 2 published, 1 missing",
        "type t: 1 found, 3 published, 2 missing",
    ]
    fewer = Benchmark("b", (one,), (), ("type",), {"type t": 0})
    assert fewer.wrong_counts() == ["type t: 1 found, 0 published, 1 too many"]


def test_video_holmes_row(tmp_path):
    put(tmp_path / "test_Video-Holmes.json", [HOLMES])
    (question,) = catalog.load("video-holmes", tmp_path).questions
    assert (question.video, question.answer, question.type) == ("videos/abc.mp4", ("C",), "SR")
    assert question.choices[2] == "option C"


def test_mvbench_rows_keep_their_clip_and_task(tmp_path):
    put_mvbench(tmp_path, start=1.5, end=4.0)
    found = catalog.load("mvbench", tmp_path)
    first = found.questions[0]
    assert (first.type, first.clip, first.answer) == ("action_sequence", (1.5, 4.0), ("B",))
    assert first.video == "video/star/Charades_v1_480/v.mp4"
    assert found.questions[1].clip is None
    assert len(found.questions) == 40
    assert len(found.wrong_counts()) == 21


def test_tempcompass_rows(tmp_path):
    found = catalog.load("tempcompass", put_tempcompass(tmp_path))
    by_type = {q.type: q for q in found.questions}
    assert by_type["multi-choice"].choices == ("run", "sit")
    assert by_type["multi-choice"].question == "Doing?"
    assert by_type["yes_no"].answer == ("B",)
    assert by_type["caption_matching"].choices == ("a dog", "a cat")
    assert by_type["caption_matching"].groups == {"aspect": "action", "labels": "Option 1|Option 2"}
    assert found.needs_judge == {"captioning": 3}


def test_videomme_row(tmp_path):
    put(tmp_path / "videomme.json", [MME])
    (question,) = catalog.load("videomme", tmp_path).questions
    assert question.choices == ("one", "two", "three", "four.")
    assert (question.answer, question.video) == (("C",), "data/fFjv93ACGo8.mp4")
    assert question.groups["duration"] == "short"


def test_videomme_as_other_tools_save_it(tmp_path, monkeypatch):
    plain = catalog.load("videomme", put(tmp_path / "a" / "videomme.json", [MME]).parent).questions
    lines = "".join(json.dumps(MME | {"question_id": f"001-{i}"}) + "\n" for i in (1, 2))
    (tmp_path / "lines.jsonl").write_text(f"\ufeff{lines}", encoding="utf-8")
    found = catalog.load("videomme", tmp_path / "lines.jsonl").questions
    assert found[:1] == plain
    assert [q.id for q in found] == ["videomme/001-1", "videomme/001-2"]
    for style in ("{}", "({}) ", "{}) ", "{}: "):
        put(tmp_path / "b" / "videomme.json", [MME | {"options": styled(style)}])
        assert catalog.load("videomme", tmp_path / "b").questions == plain
    parquet = types.SimpleNamespace(read_table=lambda path: Table([MME]))
    monkeypatch.setitem(sys.modules, "pyarrow", types.SimpleNamespace(ArrowException=ValueError))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", parquet)
    put(tmp_path / "c" / "videomme" / f"{videomme.ROWS}.parquet", [])
    assert catalog.load("videomme", tmp_path / "c").questions == plain


def styled(style: str) -> list[str]:
    """The options with their letters in another style; `{}` leaves the letters out."""
    texts = ("one", "two", "three", "four.")
    shown = zip("ABCD", texts, strict=True)
    return [text if style == "{}" else style.format(letter) + text for letter, text in shown]


class Table(list):
    """What pyarrow's table gives."""

    def to_pylist(self) -> list[object]:
        return list(self)


def test_parquet_without_a_reader_names_the_reader(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    put(tmp_path / f"{videomme.ROWS}.parquet", [])
    with pytest.raises(UserError, match=r"pip install pyarrow.*to_pylist"):
        catalog.load("videomme", tmp_path)


def test_all_bad_rows_of_a_file_are_named_and_a_whole_file_is_not_to_be_downloaded_again(tmp_path):
    rows = [MME | {"question_id": f"001-{i}", "answer": "E"} for i in range(25)]
    put(tmp_path / "videomme.json", [*rows, MME, MME])
    with pytest.raises(UserError) as caught:
        catalog.load("videomme", tmp_path)
    lines = str(caught.value).split("\n")
    assert [f"item {i}" in line for i, line in enumerate(lines[:20])] == [True] * 20
    assert lines[20] == "and 6 more"
    assert lines[21].startswith("26 problems")
    assert "download" not in str(caught.value)
    put(tmp_path / "videomme.json", [MME, MME])
    with pytest.raises(UserError, match=r"item 1: is videomme/001-1 again, which item 0 is"):
        catalog.load("videomme", tmp_path)
    text = json.dumps([MME, MME])
    for cut in (text[:-1], text[:200]):
        (tmp_path / "videomme.json").write_text(cut)
        with pytest.raises(UserError, match="ends in the middle; download it again"):
            catalog.load("videomme", tmp_path)


@pytest.mark.parametrize(
    ("name", "write", "match"),
    [
        (
            "video-holmes",
            lambda r: put(r / "test_Video-Holmes.json", [HOLMES | {"x": 1}]),
            r"item 0.*`x`.*Question ID",
        ),
        (
            "video-holmes",
            lambda r: put(r / "test_Video-Holmes.json", [HOLMES, HOLMES | {"Answer": "G"}]),
            "item 1.*'G'",
        ),
        ("mvbench", lambda r: put_mvbench(r, answer="z"), "item 0.*'z'"),
        ("mvbench", lambda r: put_mvbench(r, candidates=["y", "y"]), "2 of its 2"),
        ("mvbench", lambda r: put_mvbench(r, options=["y"]), "options"),
        (
            "videomme",
            lambda r: put(r / "videomme.json", [MME | {"options": ["A. 1", "2", "3", "4"]}]),
            "item 0: option '2' does not begin with 'B.'",
        ),
        ("videomme", lambda r: put(r / "videomme.json", [{"video_id": "1"}]), "missing"),
        (
            "tempcompass",
            lambda r: put_tempcompass(r, yes_no=[{"question": "q", "answer": "maybe"}]),
            "video 123, action, item 0",
        ),
        (
            "tempcompass",
            lambda r: put_tempcompass(
                r, caption_matching=[{"question": "Q\nfoo\nbar", "answer": "foo"}]
            ),
            "Option, Caption or Sentence",
        ),
        ("mmvu", lambda r: (r / "validation.json").write_text('[{"id": "x"'), "validation.json"),
        ("mmvu", lambda r: None, "cannot be read"),
        ("clevrer", lambda r: None, "validation.json"),
    ],
)
def test_an_unknown_row_names_its_file_and_place(tmp_path, name, write, match):
    write(tmp_path)
    with pytest.raises(UserError, match=match):
        catalog.load(name, tmp_path)


def test_our_own_records(tmp_path):
    one = Question(
        id="a", dataset="d", split="train", question="q", choices=("x",), answer=("A",), type="t"
    )
    write_jsonl(tmp_path / "questions.jsonl", [one])
    assert catalog.load("jsonl", tmp_path).questions == (one,)
    assert catalog.load("jsonl", tmp_path / "questions.jsonl", "train").questions == (one,)
    with pytest.raises(UserError, match="it has train"):
        catalog.load("jsonl", tmp_path, "validation")
    held_out = msgspec.structs.replace(one, id="b", split="validation")
    write_jsonl(tmp_path / "both.jsonl", [one, held_out])
    both = catalog.load("jsonl", tmp_path / "both.jsonl")
    assert (both.questions, both.left_out) == ((held_out,), {"of split train": 1})
    assert catalog.load("jsonl", tmp_path / "both.jsonl", "all").questions == (one, held_out)
    assert jsonl.data_root(tmp_path) == tmp_path
    put(tmp_path / "run.json", {"facts": {"data_root": "/else/where"}})
    assert jsonl.data_root(tmp_path) == Path("/else/where")
    assert jsonl.labels(tmp_path) == []
    label = Diagnosis(question_id="a", rule="same_truth", label="inferential")
    write_jsonl(tmp_path / "diagnosis.jsonl", [label])
    assert jsonl.labels(tmp_path) == [label]


def test_an_unknown_benchmark_is_refused():
    with pytest.raises(UserError, match="video-holmes"):
        catalog.load("mvbnch", Path())


def test_the_counts_of_the_facts_are_the_expected_ones():
    assert tempcompass.EXPECTED["questions"] + 2_004 == 7_540
    assert sum(video_holmes.COUNTS.values()) == 1_837
    assert videomme.EXPECTED["questions"] == 3 * 900
    assert mvbench.EXPECTED["questions"] == 20 * 200


def test_one_kind_at_a_time():
    seen = Question(
        id="a",
        dataset="d",
        split="s",
        video="v",
        question="q",
        choices=("x",),
        answer=("A",),
        type="t",
    )
    told = msgspec.structs.replace(seen, id="b", video=None, context="Frame 0: a cube.")
    bare = msgspec.structs.replace(seen, id="c", video=None)
    assert (tier_of([seen, seen]), tier_of([told])) == ("video", "transcript")
    for questions, match in (
        ([seen, told, told], r"1 with a video \(first 'a'\), 2 with a transcript \(first 'b'\)"),
        ([seen, bare], r"1 with neither \(first 'c'\)"),
        ([bare], r"1 with neither"),
    ):
        with pytest.raises(UserError, match=match):
            tier_of(questions)
