"""`videothinker.api`: every verb from Python, light to import, quiet, with a result to look at."""

import inspect
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

from videothinker import api
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.errors import UserError
from videothinker.records import Diagnosis, Question
from videothinker.results import Result
from videothinker.verbs import VERBS, load

SMALL = {
    "scenes": 4, "validation_scenes": 2, "frames": 0, "descriptive": 0, "plain_looks": True,
    "radius": 0.3, "objects_max": 5, "family_share": 0,
}  # fmt: skip


def test_every_verb_is_offered_with_its_config() -> None:
    verbs = {name: verb for name, verb in VERBS.items() if name != "chat"}
    offered = {name.split()[0] for name in verbs} | {verb.config for verb in verbs.values()}
    names = {one.split(":")[-1] for one in offered} | {"Result"}
    assert set(api.__all__) == names
    for verb in verbs.values():
        assert getattr(api, verb.config.split(":")[1]) is load(verb.config)
        parameters = inspect.signature(getattr(api, verb.stage.split(":")[1])).parameters
        assert parameters["quiet"].default is True


def test_importing_it_is_light() -> None:
    script = (
        "import time; began = time.process_time(); import videothinker.api as api, sys\n"
        "taken = time.process_time() - began\n"
        "heavy = {'torch', 'transformers', 'av', 'pymunk', 'numpy', 'tyro'} & sys.modules.keys()\n"
        "import videothinker.world.stage, videothinker.report.stage, videothinker.reproduce\n"
        "stages = [api.world, api.report, api.reproduce]\n"
        "print(sorted(heavy), taken < 0.5, *map(callable, stages))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["[]", "True", "True", "True", "True"]


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trainer'"):
        _ = api.trainer


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Result:
    root = tmp_path_factory.mktemp("api")
    data = api.world(out=str(root / "world"), **SMALL)
    return api.diagnose(data, out=root / "labels", miss_rate=0.1)


def test_a_result_has_path_summary_records_and_dictionaries(labels: Result) -> None:
    assert labels.path.is_dir()
    assert labels.failures == 0
    assert labels.summary["questions"] == len(list(labels.records("questions.jsonl")))
    assert all(isinstance(one, Question) for one in labels.records("questions.jsonl"))
    found = list(labels.records())
    assert all(isinstance(one, Diagnosis) for one in found)
    dicts = labels.to_dicts()
    assert [one["question_id"] for one in dicts] == [one.question_id for one in found]
    assert {type(one["flags"]) for one in dicts} == {dict}
    assert len(labels.to_dicts("audit.jsonl")) > 0
    assert any("diagnosed" in line for line in labels.said)
    (labels.path / "odd.jsonl").write_text('{"a": "1\u20282"}\n{"a": 3}\n', encoding="utf-8")
    assert [one["a"] for one in labels.records("odd.jsonl")] == ["1\u20282", 3]
    (labels.path / "odd.jsonl").unlink()
    with pytest.raises(UserError, match=r"'none\.jsonl'.* audit\.jsonl"):
        labels.records("none.jsonl")


def test_a_notebook_shows_a_result_as_a_table(labels: Result) -> None:
    text = labels._repr_html_()
    assert text.startswith("<table>")
    assert "audit.jsonl, " in text
    assert "same_truth" in text.partition("<pre")[2]
    evil = Result("report", Path("<b>.html"), said=("<script>",))
    assert "&lt;b&gt;.html" in evil._repr_html_()
    assert "<script" not in evil._repr_html_()
    assert evil.summary == {}


def test_what_is_wrong_with_a_list_is_not_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A table is a thing said, too."""
    (tmp_path / "list.jsonl").write_text('{"question": "Which?"}\n{\n')
    assert len(api.check(tmp_path / "list.jsonl").problems) == 3
    assert capfd.readouterr() == ("", "")


def test_a_result_stands_where_a_path_is_asked_for_and_nothing_is_printed(
    labels: Result, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    page = api.report([labels], out=tmp_path / "r.html")
    assert page.path.is_file()
    assert capfd.readouterr() == ("", "")
    assert any("r.html" in line for line in page.said)
    loud = api.report([labels.path], out=tmp_path / "s.html", quiet=False)
    assert "wrote" in capfd.readouterr().err
    assert loud.said == ()


def test_settings_are_those_of_the_command_line(labels: Result, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'scene' .* WorldConfig; allowed are out, "):
        api.world(scene=3)
    with pytest.raises(UserError, match=r"GrpoConfig needs 'model'; give model=\.\.\."):
        api.train(labels, "grpo", out=tmp_path)
    with pytest.raises(UserError, match="'dpo' .*bias, grpo, cdpo"):
        api.train(labels, "dpo")
    config = GrpoConfig(model="m", out=tmp_path)
    with pytest.raises(UserError, match="config or settings"):
        api.train(labels, config, max_steps=3)
    with pytest.raises(UserError, match="give 1 or more"):
        api.diagnose(labels, endpoint_requests=0)


@pytest.mark.parametrize(
    "settings",
    [
        {"scenes": "20"}, {"scenes": 2.5}, {"scenes": None}, {"scenes": True}, {"out": 3},
        {"radius": "0.3"}, {"plain_looks": "no"}, {"give_aways": "films"},
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_before_anything_is_done(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    given = {"out": tmp_path / "w", **SMALL, **settings}
    with pytest.raises(UserError, match=next(iter(settings))):
        api.world(**given)
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("given", [3, None, [1, 2], [{"question": "x"}]])
def test_what_is_no_path_is_refused(tmp_path: Path, given: Any) -> None:
    with pytest.raises(UserError, match="data=.*path"):
        api.diagnose(given, out=tmp_path / "d")
    with pytest.raises(UserError, match=r"runs=.*path"):
        api.report(typing.cast("Any", 3), out=tmp_path / "r.html")
    with pytest.raises(UserError, match=r"config=.*WorldConfig"):
        api.world(typing.cast("Any", {"scenes": 3}))
    with pytest.raises(UserError, match=r"choice='ab'.*list"):
        api.ask("a.mp4", "Which?", choice="ab", model="m")
    with pytest.raises(UserError, match="learning_rate='3e-4'.*float"):
        api.train("d", "grpo", model="m", out=tmp_path, learning_rate="3e-4")


def test_one_run_alone_is_reported(labels: Result, tmp_path: Path) -> None:
    assert api.report(str(labels.path), out=tmp_path / "r.html").path.is_file()


def test_an_error_names_arguments_and_carries_the_problems(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"question": "Which?"}\n')
    with pytest.raises(UserError) as caught:
        api.convert(tmp_path / "bad.jsonl", out=tmp_path / "c.jsonl")
    told = str(caught.value)
    assert told.index("choices") < told.index("named above")
    assert "keep_going=True" in told
    assert "--" not in told
    with pytest.raises(UserError, match="add embed_videos=True"):
        api.report(tmp_path, video_roots=[tmp_path])


def test_a_result_prints_in_a_line(labels: Result) -> None:
    assert f"path='{labels.path}', status='done'" in repr(labels)
    assert "questions" in repr(labels)
    assert len(repr(labels)) < 400 + len(str(labels.path))
