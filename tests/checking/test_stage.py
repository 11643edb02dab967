"""`check` and `convert` as a user meets them: what is told, what is written, the exit code."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest

import videothinker.answering
from videothinker import cli
from videothinker.benchmarks import jsonl
from videothinker.checking.config import CheckConfig, ConvertConfig
from videothinker.checking.stage import check, convert
from videothinker.errors import UserError
from videothinker.records import Question, read_jsonl

CLIP = Path(videothinker.answering.__file__).with_name("clip.mp4")
ROW = {"problem": "Which way?", "options": ["A. left", "B. right"], "solution": "B"}


@pytest.fixture
def folder(tmp_path):
    shutil.copy(CLIP, tmp_path / "a.mp4")
    (tmp_path / "cut.mp4").write_bytes(CLIP.read_bytes()[:9000])
    return tmp_path


def put(folder, *rows):
    path = folder / "list.json"
    path.write_text(json.dumps(list(rows)))
    return path


def run(capsys, *words):
    code = cli.main([str(word) for word in words])
    return code, " ".join(capsys.readouterr().err.split())


def test_a_list_that_is_fine_is_done(folder, capsys):
    path = put(folder, {**ROW, "path": "a.mp4"})
    code, told = run(capsys, "check", path)
    assert code == 0
    assert "problem as question, options as choices, solution as answer" in told
    assert f"next: videothinker diagnose {path} --out runs/audit" in told


def test_missing_and_damaged_videos_are_named_and_are_no_refusal_to_convert(folder, capsys):
    path = put(folder, *({**ROW, "path": name} for name in ("a.mp4", "cut.mp4", "gone.mp4")))
    code, told = run(capsys, "check", path, "--decode")
    assert code == 1
    assert "1 missing video: video 'gone.mp4' is missing" in told
    assert re.search("1 damaged video: .*'cut.mp4'", told)
    code, told = run(capsys, "convert", path, "--out", folder / "ours.jsonl")
    assert code == 1
    assert "video 'gone.mp4' is missing" in told
    made = read_jsonl(folder / "ours.jsonl", Question)
    assert [q.video for q in made] == ["a.mp4", "cut.mp4", "gone.mp4"]
    assert {q.answer for q in made} == {("B",)}
    assert jsonl.load(folder / "ours.jsonl").questions == tuple(made)


def test_a_missing_video_of_a_faulty_row_is_named_at_once(folder, capsys):
    """So are its other problems; what is left out by `convert` is not looked at."""
    faults = {"solution": "C"}, {"options": ["left", "left"]}, {"problem": ""}
    rows = [{**ROW, "path": f"gone{i}.mp4"} | fault for i, fault in enumerate(faults)]
    path = put(folder, {**ROW, "path": "a.mp4"}, *rows)
    code, told = run(capsys, "check", path)
    assert code == 1
    assert "3 problems, 3 missing videos" in told
    assert all(f"video 'gone{i}.mp4' is missing" in told for i in range(3))
    code, told = run(capsys, "convert", path, "--keep-going", "--out", folder / "ours.jsonl")
    assert code == 1
    assert "missing video" not in told


def test_an_empty_list_is_said_to_be_empty(tmp_path, capsys):
    (tmp_path / "list.csv").write_text("video,question,a0,a1,answer\n")
    code, told = run(capsys, "check", tmp_path / "list.csv")
    assert code == 1
    assert "list.csv: is empty" in told


def test_decoding_finds_what_a_header_hides(folder):
    data = bytearray(CLIP.read_bytes())
    at = data.find(b"mdat") + 4
    data[at : at + 400] = b"\xff" * 400
    (folder / "hurt.mp4").write_bytes(data)
    path = put(folder, {**ROW, "path": "hurt.mp4"})
    assert check(path, CheckConfig()).damaged == {}
    assert list(check(path, CheckConfig(decode=True)).damaged) == ["hurt.mp4"]


def test_decoding_finds_a_clip_beyond_its_video(folder):
    for clip, told in (
        ([10, 20], "no frame between 10 s and 20 s"),
        ([0.1, 20], "clip from 0.1 s to 20 s"),
        ([0, 0.5], ""),
        ([0, 8.5], ""),  # it has 8 s, and times of lists are rounded
    ):
        path = put(folder, *({**ROW, "path": "a.mp4", "clip": one} for one in ([0, 0.5], clip)))
        found = check(path, CheckConfig(decode=True)).damaged
        assert told in found.get("a.mp4", "")
        assert bool(found) == bool(told)


def test_guesses_must_be_confirmed(folder, capsys):
    path = put(folder, {**ROW, "path": "/old/disk/a.mp4"}, {**ROW, "path": "/old/disk/gone.mp4"})
    guess = "guessed: paths of videos that begin with 'old/disk/' begin with '' in the data folder"
    code, told = run(capsys, "check", path)
    assert code == 1
    assert f"{guess} (2 rows, first item 1)" in told
    out = folder / "ours.jsonl"
    code, told = run(capsys, "convert", path, "--out", out)
    assert code == 2
    assert guess in told
    assert not out.exists()
    done = convert(path, ConvertConfig(out=out, accept_guesses=True))
    assert list(done.missing) == ["gone.mp4"]
    assert done.failures == 1
    code, told = run(capsys, "diagnose", path, "--out", folder / "audit")
    assert (code, "--accept-guesses" in told) == (2, True)
    assert run(capsys, "diagnose", path, "--out", folder / "audit", "--accept-guesses")[0] == 0
    read = read_jsonl(folder / "audit" / "questions.jsonl", Question)
    assert [q.video for q in read] == ["a.mp4", "gone.mp4"]


def test_where_numbers_count_from_may_be_said(folder, capsys):
    row = {**ROW, "options": ["left", "right", "up"], "solution": 1, "path": "a.mp4"}
    path = put(folder, row)
    code, told = run(capsys, "check", path)
    assert (code, "--answers-from 1" in told) == (1, True)
    code, told = run(capsys, "check", path, "--answers-from", "1")
    assert (code, f"convert {path} --answers-from 1 --out" in told) == (0, True)
    out = folder / "ours.jsonl"
    assert run(capsys, "convert", path, "--answers-from", "1", "--out", out)[0] == 0
    assert read_jsonl(out, Question)[0].answer == ("A",)
    assert run(capsys, "check", path, "--answers-from", "2")[0] == 2


def test_all_problems_stand_in_one_table(folder, capsys):
    wrong = [{**ROW, "path": "a.mp4", "solution": "C", "id": i} for i in range(23)]
    path = put(folder, {**ROW, "path": "a.mp4", "id": 99}, *wrong)
    code, told = run(capsys, "check", path, "--out", folder / "found.jsonl")
    assert code == 1
    assert "23 problems" in told
    assert "and 3 more" in told
    assert "check --out has" in told
    assert told.count("answer 'C' is none of its") == 20
    found = [json.loads(line) for line in (folder / "found.jsonl").read_text().splitlines()]
    assert [one["item"] for one in found] == list(range(2, 25))
    assert all(one["what"] and one["mend"] for one in found)
    out = folder / "ours.jsonl"
    assert run(capsys, "convert", path, "--out", out)[0] == 2
    assert not out.exists()
    assert run(capsys, "convert", path, "--out", out, "--keep-going")[0] == 1
    assert [q.id for q in read_jsonl(out, Question)] == ["99"]


def test_a_list_of_open_questions_alone_is_not_fine(folder, capsys):
    path = put(folder, {"problem": "What?", "problem_type": "free-form", "path": "a.mp4"})
    code, told = run(capsys, "check", path)
    assert code == 1
    assert "left out: open questions" in told
    with pytest.raises(UserError, match=r"no question \(rows: 1 open questions, without choices"):
        jsonl.load(path)


def test_what_is_no_list_is_a_users_error(folder, capsys):
    for name in ("a.mp4", "", "gone.json"):
        code, told = run(capsys, "check", folder / name)
        assert code == 2
        assert "JSON lines, a JSON array, CSV, parquet" in told


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_without_a_list_is_named_as_given(tmp_path, capsys, made):
    world = tmp_path / "world"
    world.mkdir()
    (world / "run.json").write_text(json.dumps({"stage": "world" if made else "diagnose"}))
    code, told = run(capsys, "check", world)
    assert code == 2
    assert ("videothinker diagnose" in told) == made
    assert f"{world}: is a" in told
    with pytest.raises(UserError, match="gone is not there"):
        jsonl.read_questions(tmp_path / "gone" / "bias_as_is.jsonl")


def test_videos_are_named_from_the_new_lists_folder(folder):
    path = put(folder / "..", {**ROW, "path": "a.mp4"})
    out = folder.parent / "ours.jsonl"
    convert(path, ConvertConfig(out=out, data_root=folder))
    assert read_jsonl(out, Question)[0].video == f"{folder.name}/a.mp4"
    away = folder / "deep" / "ours.jsonl"
    convert(path, ConvertConfig(out=away, data_root=folder))
    assert read_jsonl(away, Question)[0].video == "a.mp4"


def test_another_file_is_not_written_over(folder):
    path = put(folder, {**ROW, "path": "a.mp4"})
    before = path.read_bytes()
    with pytest.raises(UserError, match="holds something else"):
        convert(path, ConvertConfig(out=path))
    assert path.read_bytes() == before
    first = convert(path, ConvertConfig(out=folder / "ours.jsonl"))
    assert convert(path, ConvertConfig(out=folder / "ours.jsonl")) == first


def test_a_long_list_takes_little_longer_than_its_json(folder):
    """100,000 lines in under 10 s, where JSON alone takes 0.4: here the ratio, each the least of
    three in processor time, as machines differ and are busy.
    """
    path = folder / "long.jsonl"
    row = {**ROW, "path": "a.mp4"}
    path.write_text("".join(json.dumps(row | {"id": i}) + "\n" for i in range(5_000)))

    def least(work) -> float:
        seconds = []
        for _ in range(3):
            began = time.process_time()
            work()
            seconds.append(time.process_time() - began)
        return min(seconds)

    plain = least(lambda: [json.dumps(json.loads(line)) for line in path.read_text().splitlines()])
    assert least(lambda: check(path, CheckConfig())) < 25 * plain
    assert check(path, CheckConfig()).questions == 5_000


def test_evaluate_takes_such_a_list(folder, capsys):
    (folder / "lists").mkdir()
    path = put(folder / "lists", {**ROW, "path": "/old/disk/a.mp4"})
    words = ("evaluate", "--data", path, "--data-root", folder, "--check")
    assert run(capsys, *words)[0] == 2
    code, told = run(capsys, *words, "--accept-guesses")
    assert code == 0
    assert "all 1 questions have their videos" in told
