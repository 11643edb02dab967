"""What a report refuses, leaves out by name, or keeps apart; and that text stays text."""

import base64
import gzip
import json
import re
from pathlib import Path

import pytest

from tests.report.report_runs import copied, write_video
from videothinker.errors import UserError
from videothinker.report.browser import pack, shrink
from videothinker.report.config import ReportConfig
from videothinker.report.diagnoses import read_diagnoses
from videothinker.report.results import read_boards
from videothinker.report.sources import read_runs
from videothinker.report.stage import report
from videothinker.video import read_clip


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("evaluate-base", "samples.jsonl"),
        ("evaluate-base", "questions.jsonl"),
        ("train-grpo-seed0", "metrics.jsonl"),
        ("diagnose-train", "diagnosis.jsonl"),
    ],
)
def test_without_records_it_refuses(
    made_runs: list[Path], tmp_path: Path, stage: str, name: str
) -> None:
    runs = copied(made_runs, tmp_path / "line")
    (tmp_path / "line" / stage / name).unlink()
    with pytest.raises(UserError, match=f"its {name} is gone"):
        report(runs, ReportConfig(out=tmp_path / "r.html"))
    assert not (tmp_path / "r.html").exists()


def test_dataset_text_is_escaped_in_the_source(made_runs: list[Path], tmp_path: Path) -> None:
    runs = copied(made_runs, tmp_path)
    run_json = tmp_path / "train-grpo-seed0" / "run.json"
    plain = json.loads(run_json.read_text())
    plain["argv"] = ["videothinker", "train", "grpo", "</pre><script>alert(1)</script>"]
    run_json.write_text(json.dumps(plain))
    text = report(runs, ReportConfig(out=tmp_path / "r.html")).read_text()
    assert "<script>alert" not in text
    assert "onerror" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_texts_are_left_out_before_the_page_grows(made_runs: list[Path], tmp_path: Path) -> None:
    runs = copied(made_runs, tmp_path)
    whole = report(runs, ReportConfig(out=tmp_path / "a.html"))
    short = report(runs, ReportConfig(out=tmp_path / "b.html", text_megabytes=0.004))
    assert short.stat().st_size < whole.stat().st_size
    assert "answers without thinking" in short.read_text()


def test_bad_input_is_one_sentence(made_runs: list[Path], tmp_path: Path) -> None:
    config = ReportConfig(out=tmp_path / "r.html")
    with pytest.raises(UserError, match="no run folder came"):
        report([], config)
    with pytest.raises(UserError, match="is not a folder"):
        report([tmp_path / "nothing"], config)
    with pytest.raises(UserError, match="holds no run"):
        report([tmp_path], config)
    with pytest.raises(UserError, match=r"ending in \.html"):
        ReportConfig(out=tmp_path / "r.pdf")
    runs = copied(made_runs, tmp_path)
    path = tmp_path / "evaluate-base" / "samples.jsonl"
    path.write_text(path.read_text() + '{"surprise": 1}\n')
    with pytest.raises(UserError, match=r"samples\.jsonl:49: not a Sample record"):
        report(runs, config)


def test_a_large_video_is_shrunk_and_keeps_its_length(tmp_path: Path) -> None:
    source = write_video(tmp_path / "long.mp4", frames=64)
    (tmp_path / "small.mp4").write_bytes(shrink(source))
    clip = read_clip(tmp_path, "small.mp4", 32)
    assert clip.frames.shape == (32, 64, 96, 3)
    assert clip.times[-1] == pytest.approx(63 / 8, rel=0.05)


def test_a_run_that_lost_answers_is_refused_and_an_unfinished_one_named(
    made_runs: list[Path], tmp_path: Path
) -> None:
    runs = copied(made_runs, tmp_path)
    path = tmp_path / "evaluate-base" / "samples.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:40]))
    with pytest.raises(UserError, match="8 of 48 answers are gone"):
        report(runs, ReportConfig(out=tmp_path / "r.html"))
    run_json = tmp_path / "evaluate-base" / "run.json"
    run_json.write_text(run_json.read_text().replace('"status": "done"', '"status": "interrupted"'))
    text = report(runs, ReportConfig(out=tmp_path / "r.html")).read_text()
    assert "evaluate-base answers 40 of 48 questions" in text
    assert "evaluate-base (evaluate) is interrupted" in text


def test_two_worlds_under_one_id_are_two_boards(made_runs: list[Path], tmp_path: Path) -> None:
    runs = copied(made_runs, tmp_path / "a")
    others = copied(made_runs, tmp_path / "b")
    for run in others:
        for name in ("questions.jsonl", "run.json"):
            if (run / name).is_file():
                text = (run / name).read_text().replace("Which event", "What event")
                (run / name).write_text(text.replace(str(made_runs[0].parent), str(tmp_path / "b")))
    boards = read_boards(read_runs([*runs, *others]))
    assert len(boards) == 2
    assert boards[1].title.endswith("as asked in evaluate-base")
    assert all(
        len(method.evaluations) == (1 if method.role == "Base" else 2)
        for method in boards[0].methods
    )
    with pytest.raises(UserError, match="same model's answers"):
        read_boards(read_runs([*runs, *copied(made_runs, tmp_path / "c")]))


def test_videos_are_embedded_as_far_as_there_is_room(made_runs: list[Path], tmp_path: Path) -> None:
    size = (made_runs[0].parent / "video" / "000.mp4").stat().st_size * 1.4 / 1e6
    roots = (made_runs[0].parent,)
    config = ReportConfig(
        out=tmp_path / "r.html", embed_videos=True, embed_megabytes=size, video_roots=roots
    )
    text = report(made_runs, config).read_text()
    assert text.count('id="video-') == 1
    assert "23 videos are linked" in text


def embedded(page: Path) -> list[bytes]:
    found = re.findall(r'id="video-[0-9]+"[^>]*>([^<]*)<', page.read_text())
    return [base64.b64decode(text) for text in found]


def strangers(made_runs: list[Path], to: Path, root: str, name: str) -> list[Path]:
    """Run folders whose run.json says that the videos lie in `root`, and that all are `name`."""
    runs = copied(made_runs, to)
    for run in runs:
        plain = json.loads((run / "run.json").read_text())
        if "data_root" in (plain.get("facts") or {}):
            plain["facts"]["data_root"] = root
            (run / "run.json").write_text(json.dumps(plain))
        listed = run / "questions.jsonl"
        if listed.exists():
            told = re.sub(r'"video":"[^"]*"', lambda _: f'"video":"{name}"', listed.read_text())
            listed.write_text(told)
    return runs


@pytest.mark.parametrize("kind", ["text", "video"])
@pytest.mark.parametrize("root", ["/", "{outside}", "{runs}/link", "{runs}/../outside"])
def test_a_strangers_run_embeds_nothing_from_outside(
    made_runs: list[Path], tmp_path: Path, root: str, kind: str
) -> None:
    """With `data_root: /` any file of the reader's could be put into the page."""
    outside, runs = tmp_path / "outside", tmp_path / "runs"
    outside.mkdir()
    secret = outside / "secret.mp4"
    secret.write_bytes(b"root:x:0:0:root") if kind == "text" else write_video(secret)
    name = secret.relative_to("/").as_posix() if root == "/" else secret.name
    said = root.format(outside=outside, runs=runs)
    folders = strangers(made_runs, runs, said, name)
    (runs / "link").symlink_to(outside)
    page = report(folders, ReportConfig(out=tmp_path / "r.html", embed_videos=True))
    assert embedded(page) == []
    assert "1 video is linked" in page.read_text()
    told = ReportConfig(out=tmp_path / "r.html", embed_videos=True, video_roots=(outside,))
    assert embedded(report(folders, told)) == ([secret.read_bytes()] if kind == "video" else [])


def test_videos_inside_a_given_folder_are_embedded(made_runs: list[Path], tmp_path: Path) -> None:
    """The folder of all runs, with the videos in it, is what the user named."""
    copied(made_runs, tmp_path / "runs")
    for run in (tmp_path / "runs").glob("*/run.json"):
        old, new = str(made_runs[0].parent), str(tmp_path / "runs")
        run.write_text(run.read_text().replace(old, new))
    config = ReportConfig(out=tmp_path / "r.html", embed_videos=True)
    assert len(embedded(report([tmp_path / "runs"], config))) == 24


def test_roots_that_say_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="add --embed-videos"):
        ReportConfig(video_roots=(tmp_path,))
    with pytest.raises(UserError, match="is not a folder"):
        ReportConfig(embed_videos=True, video_roots=(tmp_path / "none",))


def test_a_run_before_its_first_record_is_listed(made_runs: list[Path], tmp_path: Path) -> None:
    runs = copied(made_runs, tmp_path)
    (tmp_path / "train-cdpo-seed1" / "metrics.jsonl").write_text("")
    with pytest.raises(UserError, match=r"its metrics\.jsonl is gone"):
        report(runs, ReportConfig(out=tmp_path / "r.html"))
    run_json = tmp_path / "train-cdpo-seed1" / "run.json"
    run_json.write_text(run_json.read_text().replace('"status": "done"', '"status": "running"'))
    text = report(runs, ReportConfig(out=tmp_path / "r.html")).read_text()
    assert "without records" in text
    assert "(running)" in text
    assert "may still move" not in text
    called = {"argv": ["videothinker", "train", "cdpo", "--out", "never"], "status": "failed"}
    run_json.write_text(json.dumps({**json.loads(run_json.read_text()), **called}))
    text = report(runs, ReportConfig(out=tmp_path / "r.html")).read_text()
    assert text.count("videothinker train cdpo --out never") == 1  # its own entry, in no script
    assert "(failed)" in text


def test_a_finished_training_run_that_lost_steps_is_refused(
    made_runs: list[Path], tmp_path: Path
) -> None:
    runs = copied(made_runs, tmp_path)
    run_json = tmp_path / "train-grpo-seed0" / "run.json"
    metrics = run_json.parent / "metrics.jsonl"
    lines = metrics.read_text().splitlines(keepends=True)
    plain = json.loads(run_json.read_text())
    plain["config"]["max_steps"] = len(lines)
    run_json.write_text(json.dumps(plain))
    report(runs, ReportConfig(out=tmp_path / "r.html"))
    metrics.write_text("".join(lines[:-3]))
    with pytest.raises(UserError, match=rf"3 of {len(lines)} steps are gone"):
        report(runs, ReportConfig(out=tmp_path / "r.html"))


def test_without_a_diagnosis_nothing_is_claimed(made_runs: list[Path], tmp_path: Path) -> None:
    runs = [run for run in copied(made_runs, tmp_path) if run.name.startswith("evaluate")]
    for run in runs:
        (run / "diagnosis.jsonl").unlink()
    text = report(runs, ReportConfig(out=tmp_path / "r.html")).read_text()
    assert "No question here has a diagnosis" in text
    assert 'data-sheet="main"' in text
    alone = [path for path in made_runs if path.name == "pretrain"]
    text = report(alone, ReportConfig(out=tmp_path / "r.html")).read_text()
    assert "Nothing is evaluated here" in text


def test_links_outlive_what_else_is_on_the_page(made_runs: list[Path], tmp_path: Path) -> None:
    def anchors(runs: list[Path]) -> set[str]:
        folders = read_runs(runs)
        boards, diagnoses = read_boards(folders), read_diagnoses(folders)
        packed = pack(boards, diagnoses, tmp_path / "r.html", listed=9, megabytes=3)
        lists = json.loads(gzip.decompress(base64.b64decode(packed.base64)))
        return {one["anchor"] for name, one in lists.items() if name != "meanings"}

    without = [run for run in made_runs if not run.name.startswith("diagnos")]
    assert len(anchors(without)) == 1
    assert anchors(without) < anchors(made_runs)


def test_whoever_sends_a_page_is_told_of_its_links(
    made_runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    roots = (made_runs[0].parent,)
    report(made_runs, ReportConfig(out=tmp_path / "r.html"))
    assert "--embed-videos" in capsys.readouterr().err
    report(made_runs, ReportConfig(out=tmp_path / "r.html", embed_videos=True))
    assert "--video-roots" in capsys.readouterr().err
    report(made_runs, ReportConfig(out=tmp_path / "r.html", embed_videos=True, video_roots=roots))
    assert "or send it" in capsys.readouterr().err
