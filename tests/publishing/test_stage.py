"""`push`, `pull` and `hf://` in the place of a model and of a question set, on a hub of our own."""

import errno
import json
import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard

from tests.publishing.conftest import SETTINGS, question
from videothinker import api, cli
from videothinker.errors import UserError
from videothinker.files import writing
from videothinker.hub import fetch, local, read_address
from videothinker.models.catalog import find_shape
from videothinker.models.folders import find_model
from videothinker.publishing.config import PullConfig, PushConfig
from videothinker.publishing.contents import sources
from videothinker.records import Question, read_jsonl, write_jsonl
from videothinker.run_file import SIMULATED, RunFile, read_run_file
from videothinker.runs import digest_path
from videothinker.video.encode import write_mp4

WRITTEN = ("whole", "half")
MODEL, SET = "hf://me/cured", "hf://datasets/me/shortcuts"


def push(folder: Path, to: str, **settings: object) -> None:
    api.push(folder, PushConfig(to=to, **settings))  # pyright: ignore[reportArgumentType]


def test_a_model_goes_to_the_hub_and_comes_back_as_it_was(server, trained, tmp_path):
    push(trained, MODEL)
    sent = server.repositories["models/me/cured"]
    assert sent.private
    kept = {path.name for path in (trained / "model").iterdir()} | {"README.md"}
    assert set(server.files("models/me/cured")) == kept
    api.pull(MODEL, PullConfig(out=tmp_path / "back"))
    assert {path.name for path in (tmp_path / "back").iterdir()} == kept
    assert digest_path(tmp_path / "back") == digest_path(trained / "model")
    with pytest.raises(UserError, match="is not empty"):
        api.pull(MODEL, PullConfig(out=tmp_path / "back"))


def test_what_was_asked_about_a_world_of_ours_is_not_called_clevrer(tmp_path):
    """Its questions say CLEVRER, whose layout they have; the folder of their videos may be gone."""
    questions = [question(0)]
    world, gone = tmp_path / "world", tmp_path / "gone"
    world.mkdir()
    (world / "run.json").write_text(json.dumps({"stage": "world"}))
    for facts, called in (
        ({"data_root": str(world)}, SIMULATED),
        ({"data_root": str(gone), "simulated": True}, SIMULATED),
        ({"data_root": str(gone)}, "toy"),
    ):
        assert sources(questions, RunFile(stage="diagnose", facts=facts)) == called
    assert sources(questions, None) == "toy"


@pytest.mark.parametrize("simulated", [True, False])
def test_a_published_set_says_of_a_world_what_it_is(diagnosed, tmp_path, simulated):
    """There is no run.json that could, and a score of it must not stand under CLEVRER's name."""
    folder, sent = tmp_path / "set", tmp_path / "sent"
    folder.mkdir()
    questions = read_jsonl(diagnosed / "questions.jsonl", Question)
    write_jsonl(folder / "questions.jsonl", questions)
    facts = {"simulated": simulated}
    told = {"stage": "diagnose", "status": "done", "facts": facts}
    (folder / "run.json").write_text(json.dumps(told))
    push(folder, str(sent))
    own = {question.dataset for question in questions}
    found = read_jsonl(sent / "questions.jsonl", Question)
    assert {question.dataset for question in found} == ({SIMULATED} if simulated else own)
    assert [question.id for question in found] == [question.id for question in questions]


def test_an_address_stands_wherever_a_model_or_a_question_set_does(
    server, trained, diagnosed, tmp_path, capsys
):
    push(trained, MODEL, public=True)
    push(diagnosed, SET)
    evaluated = tmp_path / "evaluation"
    args = ["evaluate", "--data", SET, "--model", MODEL, "--out", str(evaluated)]
    assert cli.main([*args, "--max-new-tokens", "4"]) == 0
    theirs = trained.parent / "evaluation"
    assert (evaluated / "samples.jsonl").read_bytes() == (theirs / "samples.jsonl").read_bytes()
    assert read_run_file(evaluated / "run.json").config["model"] == MODEL
    base = str(trained.parent / "base")
    given = ["--data", SET, "--model", base, "--bias", MODEL, "--max-prompt-length", "512"]
    cdpo = ["train", "cdpo", *given, "--out", str(tmp_path / "cdpo"), *SETTINGS]
    assert cli.main(cdpo) in (0, 1)
    inputs = read_run_file(tmp_path / "cdpo/run.json").inputs
    assert inputs["bias"] == digest_path(trained / "model")
    capsys.readouterr()
    assert cli.main(["check", SET]) == 0
    assert f"next: videothinker diagnose {SET} --out" in capsys.readouterr().err
    probed = ["--probe", MODEL, "--probes", "struck", "--samples", "1", "--temperature", "0"]
    probed += ["--max-new-tokens", "4", "--out", str(tmp_path / "probed")]
    assert cli.main(["diagnose", SET, *probed]) in (0, 1)
    assert read_run_file(tmp_path / "probed/run.json").inputs["probe"] == inputs["bias"]


def test_a_revision_is_the_one_that_was_asked_for(server, diagnosed, tmp_path):
    push(diagnosed, SET)
    first = server.repositories["datasets/me/shortcuts"].commits[-1][0]
    other = tmp_path / "other"
    shutil.copytree(diagnosed, other)
    write_jsonl(other / "questions.jsonl", read_jsonl(other / "questions.jsonl", Question)[:5])
    push(other, SET)
    assert len(read_jsonl(fetch(SET, "dataset") / "questions.jsonl", Question)) == 5
    assert len(read_jsonl(fetch(f"{SET}@{first}", "dataset") / "questions.jsonl", Question)) == 12


def test_the_models_card_tells_what_the_records_do(trained, tmp_path):
    evaluation = trained.parent / "evaluation"
    push(trained, str(tmp_path / "card"), evaluations=(evaluation,), license="apache-2.0")
    card = ModelCard.load(tmp_path / "card/README.md")
    told = card.data.to_dict()
    assert told["license"] == "apache-2.0"
    assert told["pipeline_tag"] == "video-text-to-text"
    assert told["tags"] == ["videothinker", "grpo"]
    lines = json.loads((evaluation / "summary.json").read_text())["lines"]
    shown = {one.metric_name: one.metric_value for one in card.data.eval_results or []}
    assert shown == {f"exact match, {x['group']}": round(x["exact"]["value"], 4) for x in lines}
    recipe = yaml.safe_load(card.content.split("```yaml\n")[1].split("```")[0])
    assert (recipe["max_steps"], recipe["num_generations"]) == (2, 2)
    assert str(trained.parent) not in card.content
    assert "none of the 8 completions" in card.content
    assert "Fewer than 100 questions" in card.content
    assert "all (4)" in card.content


def test_an_evaluation_of_another_model_is_no_evidence(trained, tmp_path):
    other = tmp_path / "run"
    shutil.copytree(trained, other)
    (other / "model/generation_config.json").write_text("{}")
    with pytest.raises(UserError, match="of another model"):
        push(other, str(tmp_path / "card"), evaluations=(trained.parent / "evaluation",))
    with pytest.raises(UserError, match="train_grpo .*evaluate"):
        push(trained, str(tmp_path / "card"), evaluations=(trained,))


def test_the_sets_card_counts_what_is_in_it(diagnosed, tmp_path):
    push(diagnosed, str(tmp_path / "card"))
    card = DatasetCard.load(tmp_path / "card/README.md")
    assert card.data.to_dict()["size_categories"] == ["n<1K"]
    assert [one["data_files"] for one in card.data.to_dict()["configs"]] == [
        "questions.jsonl", "diagnosis.jsonl", "bias.jsonl",
    ]  # fmt: skip
    assert "| train | counterfactual | 8 | 5 | 3 | 0 | 0 |" in card.content
    assert "| validation | counterfactual | 4 | 3 | 1 | 0 | 0 |" in card.content
    # inferential are 0, 3, 6, 9; both options happen in the video of 0 and 6
    assert "2 of 4 inferential" in card.content


def test_videos_are_sent_where_that_is_asked_for_and_read_from_the_cache(
    server, diagnosed, tmp_path
):
    folder = tmp_path / "set"
    folder.mkdir()
    questions = read_jsonl(diagnosed / "questions.jsonl", Question)[:2]
    asked = [Question(**{f: getattr(q, f) for f in q.__struct_fields__} | {
        "context": None, "video": "clips/a.mp4"}) for q in questions]  # fmt: skip
    write_jsonl(folder / "questions.jsonl", asked)
    (folder / "clips").mkdir()
    write_mp4(folder / "clips/a.mp4", np.zeros((4, 32, 32, 3), np.uint8), 2)
    push(folder, str(tmp_path / "without"))
    assert not (tmp_path / "without/clips").exists()
    assert "--data-root VIDEOS" in (tmp_path / "without/README.md").read_text()
    push(folder, SET, with_videos=True)
    assert "clips/a.mp4" in server.files("datasets/me/shortcuts")
    assert cli.main(["check", SET, "--decode"]) == 0


def test_what_cannot_be_pushed_is_one_sentence(server, trained, diagnosed, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="address of a model; .*hf://datasets"):
        push(diagnosed, MODEL)
    with pytest.raises(UserError, match="folder of a run of evaluate; allowed are"):
        push(trained.parent / "evaluation", SET)
    with pytest.raises(UserError, match="evaluations belong to a model"):
        push(diagnosed, SET, evaluations=(trained,))
    with pytest.raises(UserError, match="address of a model, where a question set is wanted"):
        local(Path(MODEL))
    with pytest.raises(UserError, match="address of a question set, where a model is wanted"):
        find_model(SET)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(UserError, match="hf auth login"):
        push(diagnosed, SET)
    assert not server.repositories


def test_what_is_not_there_is_one_sentence(server, capsys):
    for source in ("hf://me/gone", "hf://me"):
        assert cli.main(["models", "--verify", source]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert source.removeprefix("hf://") in told
    with pytest.raises(UserError, match="is the address of a space; allowed is"):
        read_address("hf://spaces/me/page")


def test_a_name_that_may_be_a_folder_or_a_hub_id_is_told_as_both(
    server, trained, tmp_path, monkeypatch
):
    push(trained, MODEL)
    assert find_shape("me/cured") == find_shape(str(trained))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"me/gone is not in {tmp_path}, .* nothing of that name"):
        find_shape("me/gone")
    with pytest.raises(UserError, match=f"me/gone is not in {tmp_path}; .*hf://datasets/USER"):
        local(Path("me/gone"))


def test_a_folder_that_is_half_written_is_gone_on_with(trained, tmp_path, monkeypatch):
    def full(path: Path) -> AbstractContextManager[IO[bytes]]:
        if path.name == "README.md":  # the last
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return writing(path)

    push(trained, str(tmp_path / "whole"))
    monkeypatch.setattr("videothinker.publishing.stage.writing", full)
    with pytest.raises(UserError, match="No space left"):
        push(trained, str(tmp_path / "half"))
    monkeypatch.undo()
    push(trained, str(tmp_path / "half"))
    whole, half = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in WRITTEN)
    assert whole.keys() == half.keys()
    assert {n: b for n, b in whole.items() if n != "README.md"}.items() <= half.items()
    with pytest.raises(UserError, match="is not empty"):
        push(trained, str(tmp_path / "half"))


def test_an_adapter_on_a_model_that_nobody_has_is_refused(trained, diagnosed, tmp_path):
    base, out = str(trained.parent / "base"), tmp_path / "lora"
    args = ["train", "grpo", "--data", str(diagnosed), "--model", base, "--out", str(out)]
    assert cli.main([*args, *SETTINGS, "--lora-rank", "2"]) in (0, 1)
    with pytest.raises(UserError, match="push that model first"):
        push(out, str(tmp_path / "card"))


@pytest.mark.parametrize("revision", ["", "@main"])
def test_an_adapter_trained_on_an_address_names_it(server, trained, diagnosed, tmp_path, revision):
    push(trained, MODEL)
    out, base = tmp_path / "lora", MODEL + revision
    args = ["train", "grpo", "--data", str(diagnosed), "--model", base, "--out", str(out)]
    assert cli.main([*args, *SETTINGS, "--lora-rank", "2"]) in (0, 1)
    push(out, str(tmp_path / "card"))
    card = ModelCard.load(tmp_path / "card/README.md")
    assert (card.data.base_model, card.data.library_name) == ("me/cured", "peft")
    merged = tmp_path / "merged"
    assert cli.main(["export", "--merge", str(out), "--out", str(merged)]) == 0
    push(merged, str(tmp_path / "whole"))
    names = {path.name for path in (tmp_path / "whole").iterdir()}
    assert {"config.json", "model.safetensors", "README.md"} <= names
    assert "run.json" not in names


@pytest.mark.parametrize("there", [False, True])
def test_a_pull_of_nothing_leaves_what_was_there(server, tmp_path, there):
    out = tmp_path / "models" / "mine"
    if there:
        out.mkdir(parents=True)
    for address in ("hf://me/gone", "hf://datasets/me/gone", "hf://me/gone/part"):
        with pytest.raises(UserError, match="gone"):
            api.pull(address, PullConfig(out=out))
    assert out.is_dir() == (tmp_path / "models").is_dir() == there


def test_what_was_fetched_before_the_hub_was_gone_stays(server, diagnosed, tmp_path, monkeypatch):
    push(diagnosed, SET)
    answer = server.answer

    def breaks(handler, body):
        if handler.path.endswith("/questions.jsonl"):
            handler.send_error(410)
        else:
            answer(handler, body)

    monkeypatch.setattr(server, "answer", breaks)
    with pytest.raises(UserError, match="could not be fetched"):
        api.pull(SET, PullConfig(out=tmp_path / "back"))
    monkeypatch.setattr(server, "answer", answer)
    assert (tmp_path / "back").is_dir()
    api.pull(SET, PullConfig(out=tmp_path / "back"))
    assert digest_path(tmp_path / "back") == digest_path(diagnosed)
