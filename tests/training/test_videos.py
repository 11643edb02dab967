"""One bad video costs nothing: it is found before step 1, and dropped as if it had never been."""

import os
import re
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from tests.training.toy_training import make_question
from videothinker.algorithms.bias import BiasConfig
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.errors import UserError
from videothinker.models.catalog import load_policy
from videothinker.processes import Processes
from videothinker.records import Question, write_jsonl
from videothinker.runs import digest_path
from videothinker.training import kept_videos
from videothinker.training.data import load_training_set
from videothinker.training.kept_videos import READING, KeptVideos
from videothinker.training.rollouts import Prompts
from videothinker.training.stages import train
from videothinker.training.videos import check_videos

ALONE = Processes(0, 1, torch.device("cpu"))


def question(number: int, video: str, clip: tuple[float, float] | None = None) -> Question:
    return msgspec.structs.replace(make_question(number), context=None, video=video, clip=clip)


def settings(**changes: Any) -> GrpoConfig:
    return GrpoConfig(model="m", out=Path("o"), frames=4, eval_steps=0, **changes)


def write_list(folder: Path, questions: list[Question]) -> Path:
    folder.mkdir(exist_ok=True)
    return write_jsonl(folder / "questions.jsonl", questions)


def test_videos_of_questions_to_come_are_read_ahead(world: Path, base: Path) -> None:
    policy, config = load_policy(base), settings()
    prompts = Prompts(policy, load_training_set(world, config), config)
    asked = [question(n, f"{n}.mp4") for n in range(3)]
    (world / "1.mp4").unlink()
    prompts.look_ahead(asked[::-1])
    await_reading()
    (world / "2.mp4").unlink()
    assert prompts.encode(asked[2]).video is not None  # which is not there any more
    with pytest.raises(UserError, match="question .*1.*1.mp4"):  # as if nobody had looked
        prompts.encode(asked[1])
    assert prompts.encode(asked[0]).video is not None
    assert prompts.videos.waited > 0


def test_a_video_that_is_there_waits_for_no_other(
    world: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, slow = settings(), threading.Event()
    prompts = Prompts(load_policy(base), load_training_set(world, config), config)
    kept = prompts.encode(question(0, "0.mp4")).video
    true, begun = kept_videos.read_frames, threading.Event()

    def read(*given: Any) -> Any:
        begun.set()
        assert slow.wait(60)
        return true(*given)

    monkeypatch.setattr(kept_videos, "read_frames", read)
    prompts.look_ahead([question(1, "1.mp4")])
    assert begun.wait(60)
    got: list[Any] = []
    asks = threading.Thread(target=lambda: got.append(prompts.encode(question(0, "0.mp4")).video))
    asks.start()
    asks.join(20)
    slow.set()
    assert got == [kept]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the videos that were decoded for a step, or to come."""
    names: list[str] = []
    true = kept_videos.read_frames

    def read(root: Path, part: Any, config: GrpoConfig) -> Any:
        names.append(part[0])
        return true(root, part, config)

    monkeypatch.setattr(kept_videos, "read_frames", read)
    return names


def await_reading() -> None:
    for thread in threading.enumerate():
        if thread.name == READING:
            thread.join()


def test_what_was_looked_at_is_not_decoded_again(
    world: Path, base: Path, decoded: list[str]
) -> None:
    videos = KeptVideos(load_policy(base), world, settings())
    check_videos(load_training_set(world, settings()), settings(), ALONE, keep=videos.offer)
    assert all(videos.get((f"{n}.mp4", None)).frames == 4 for n in range(10))
    assert not decoded


def test_no_more_is_kept_than_fits(world: Path, base: Path, decoded: list[str]) -> None:
    videos = KeptVideos(load_policy(base), world, settings())
    parts = [(f"{n}.mp4", None) for n in range(6)]
    videos.most = 2 * videos.get(parts[0]).nbytes + 1
    videos.get(parts[1])
    videos.offer(parts[2], kept_videos.read_frames(world, parts[2], settings()))  # no room
    decoded.clear()
    videos.get(parts[0])
    videos.read_ahead(parts[3:])
    await_reading()
    assert decoded == ["3.mp4", "4.mp4"]
    videos.get(parts[3])
    assert decoded == ["3.mp4", "4.mp4"]  # which waited for its step
    videos.most = 0
    assert videos.get(parts[0]).frames == 4  # what is asked for is given, and nothing kept
    assert videos.get(parts[0]).frames == 4
    assert decoded[2:] == ["0.mp4", "0.mp4"]


@pytest.mark.parametrize("name", ["a\0.mp4", "a" * 400 + ".mp4"])
def test_a_name_that_no_file_has_is_a_bad_video(tmp_path: Path, name: str) -> None:
    write_list(tmp_path / "w", [question(0, name)])
    with pytest.raises(UserError, match="1 of 1 videos cannot be read"):
        checked(tmp_path / "w", settings())


@pytest.fixture
def world(tmp_path: Path, clip: bytes) -> Path:
    """Ten questions about ten videos."""
    folder = tmp_path / "world"
    write_list(folder, [question(n, f"{n}.mp4") for n in range(10)])
    for number in range(10):
        (folder / f"{number}.mp4").write_bytes(clip)
    return folder


def checked(folder: Path, config: GrpoConfig, **past: int) -> list[str]:
    """Ids of the questions that are left."""
    data = check_videos(load_training_set(folder, config), config, ALONE, **past)
    return [q.id for q in data.train]


def test_every_problem_stands_in_one_list(world: Path, clip: bytes) -> None:
    write_list(
        world, [*(question(n, f"{n}.mp4") for n in range(10)), question(10, "0.mp4", (9, 10))]
    )
    (world / "1.mp4").unlink()
    (world / "2.mp4").write_bytes(clip[: len(clip) * 2 // 3])
    (world / "3.mp4").write_text("ffconcat version 1.0\nfile 4.mp4\n")
    (world / "4.mp4").write_bytes(b"")
    with pytest.raises(UserError) as refused:
        checked(world, settings())
    head, *listed, advice = str(refused.value).splitlines()
    assert re.match(r"5 of 11 videos .*5 of 11 questions", head)
    for name, reason in (
        ("1.mp4", "is missing"),
        ("2.mp4", "is cut off"),
        ("3.mp4", "cannot be decoded"),
        ("4.mp4", "is empty"),
        ("0.mp4", "between 9 s and 10 s"),
    ):
        assert sum(f"'{name}'" in line and reason in line for line in listed) == 1
    assert "questions.jsonl" in advice
    assert "--on-bad-video drop" in advice


def test_many_problems_are_counted_and_a_wrong_folder_is_guessed(tmp_path: Path) -> None:
    write_list(tmp_path / "w", [question(n, f"{n}.mp4") for n in range(25)])
    with pytest.raises(UserError) as refused:
        checked(tmp_path / "w", settings())
    lines = str(refused.value).splitlines()
    assert [line.strip() for line in lines[-2:-1]] == ["and 5 more"]
    assert len(lines) == 1 + 20 + 1 + 1
    assert "--data-root" in lines[-1]


def test_what_was_seen_to_decode_is_not_looked_at_again(world: Path) -> None:
    assert len(checked(world, settings())) == 10
    path, before = world / "3.mp4", (world / "3.mp4").stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(checked(world, settings())) == 10  # as far as one can tell it is the same file
    with pytest.raises(UserError, match=r"'3\.mp4' cannot be decoded"):
        checked(world, GrpoConfig(model="m", out=Path("o"), frames=5, eval_steps=0))
    with pytest.raises(UserError, match=r"'3\.mp4' cannot be decoded"):
        checked(world, settings(decode_megabytes=1000))  # it may take more than that
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(UserError, match=r"'3\.mp4' cannot be decoded"):
        checked(world, settings())


def test_a_torn_or_unwritable_memory_costs_a_look_and_nothing_else(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(checked(world, settings())) == 10
    (memory,) = (tmp_path / "cache").rglob("*.jsonl")
    assert len(memory.read_bytes().splitlines()) == 10
    memory.write_bytes(memory.read_bytes()[:-20])
    assert len(checked(world, settings())) == 10
    monkeypatch.setenv("XDG_CACHE_HOME", str(world / "0.mp4"))  # a file, not a folder
    assert len(checked(world, settings())) == 10


def test_only_what_the_run_may_still_ask_for_is_looked_at(world: Path) -> None:
    order = checked(world, settings())
    (world / f"{int(order[3][-3:])}.mp4").unlink()
    short = {"max_steps": 1, "prompts_per_step": 3}
    assert checked(world, settings(**short)) == order  # draws places 0 to 2
    assert checked(world, settings(**(short | {"max_steps": 3})), step=2, position=6) == order
    for reaches in ({"max_steps": 2}, {"sampling": "base-failure"}):
        with pytest.raises(UserError, match="is missing"):
            checked(world, settings(**(short | reaches)))
    with pytest.raises(UserError, match="is missing"):  # the second round draws it again
        checked(world, settings(max_steps=4, prompts_per_step=3), step=3, position=9)
    refilling = BiasConfig(model="m", out=Path("o"), frames=4, eval_steps=0, **short)
    data = load_training_set(world / "questions.jsonl", refilling)
    with pytest.raises(UserError, match="is missing"):  # refills may come to it
        check_videos(data, refilling, ALONE)


def test_dropping_goes_on_until_the_draw_is_whole(world: Path) -> None:
    """The draw takes the next of the list for each that is left out, and looks at those too."""
    order = checked(world, settings())
    for bad in (order[0], order[4]):
        (world / f"{int(bad[-3:])}.mp4").unlink()
    left = checked(world, settings(on_bad_video="drop", train_questions=4))
    assert left == [order[1], order[2], order[3], order[5]]
    for video in world.glob("*.mp4"):
        video.unlink()
    with pytest.raises(UserError, match="no video is there"):
        checked(world, settings(on_bad_video="drop"))


def test_a_run_that_drops_is_the_run_without_the_question(
    world: Path, quick: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = quick | {"frames": 4, "max_pixels": 64 * 56, "eval_steps": 0, "max_steps": 5}
    (world / "6.mp4").unlink()
    with pytest.raises(UserError, match=r"'6\.mp4' is missing"):
        train(world, GrpoConfig(out=tmp_path / "a", **asked))
    told = GrpoConfig(out=tmp_path / "a", on_bad_video="drop", **asked)
    dropped = train(world, told)
    said = capsys.readouterr().err.replace("\n", " ")
    assert re.search(r"left out 1 of 10 questions.* 6\.mp4", said)
    facts = msgspec.json.decode((dropped / "run.json").read_bytes())["facts"]
    assert facts["left_out_bad_video"] == 1
    assert list(facts["bad_videos"]) == ["6.mp4"]
    assert facts["train_questions"] == 9
    write_list(world, [question(n, f"{n}.mp4") for n in range(10) if n != 6])
    without = train(world, GrpoConfig(out=tmp_path / "b", **asked))
    assert digest_path(without) == digest_path(dropped)


def test_videos_with_fewer_frames_than_asked_are_counted_each_time(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = GrpoConfig(model="m", out=Path("o"), frames=500, eval_steps=0)
    for _ in range(2):  # the second time from memory
        assert len(checked(world, config)) == 10
        told = capsys.readouterr()
        assert "10 of 10 videos have fewer than 500 frames" in told.out + told.err
    checked(world, settings())
    told = capsys.readouterr()
    assert "fewer than" not in told.out + told.err
