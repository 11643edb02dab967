"""Settings are refused when they are built, and every default stands in docs/paper_index.md."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from videothinker.algorithms import objective
from videothinker.algorithms.base import BiasSource, TrainConfig
from videothinker.algorithms.bias import BiasConfig
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.algorithms.choices import DIVERGENCES
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.cli import setting_names
from videothinker.errors import UserError

DOCS = Path(__file__).resolve().parents[2] / "docs"
GIVEN: dict[str, Any] = {"model": "m", "out": Path("o"), "bias": "b"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"repulsion": 0, "sampling": "uniform"}, "repulsion is 0; allowed is a number above 0"),
        ({"repulsion": -0.01}, "repulsion = -beta"),
        ({"divergence": "kl"}, f"divergence is 'kl'; allowed is {', '.join(DIVERGENCES)}"),
        (
            {"direction": "attract", "schedule": "controller"},
            "schedule is 'controller'; allowed is 'constant'",
        ),
        ({"bias": ""}, "make one with `train bias`"),
        ({"num_generations": 1}, "at least 2"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": 0.0}, "a number above 0"),
        ({"epsilon": 1.0}, "between 0 and 1"),
        ({"max_pixels": 10}, "min_pixels is 3136; allowed is at most max_pixels"),
        ({"reward_funcs": ()}, "one or more"),
        ({"reward_weights": (1.0,)}, "2 numbers"),
        ({"sampling": "hard"}, "uniform, bias-failure, base-failure, curriculum, label"),
        ({"sampling": "label"}, "inferential_share is None"),
        ({"sampling": "label", "inferential_share": 1.5}, "from 0 to 1"),
        ({"inferential_share": 0.5}, "null unless sampling is 'label'"),
        ({"guard_valid": 2.0}, "a share from 0 to 1"),
    ],
)
def test_a_bad_value_is_refused_when_the_config_is_built(
    wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        CdpoConfig(**(GIVEN | wrong))


def test_what_an_algorithm_is_called_is_no_setting() -> None:
    names = setting_names(CdpoConfig)
    assert names == [field.name for field in dataclasses.fields(CdpoConfig)]
    assert not {"stage", "following"} & set(names)


def test_the_bias_model_is_a_required_argument() -> None:
    with pytest.raises(TypeError, match="bias"):
        CdpoConfig(model="m", out=Path("o"))  # pyright: ignore[reportCallIssue]
    with pytest.raises(UserError, match="'bias-failure' needs"):
        GrpoConfig(model="m", out=Path("o"), sampling="bias-failure")


def test_a_bias_model_cannot_choose_the_questions_that_it_is_made_of() -> None:
    with pytest.raises(UserError, match="'bias-failure' needs a bias model, made here"):
        BiasConfig(model="m", out=Path("o"), sampling="bias-failure")


def test_what_each_algorithm_answers() -> None:
    """The data, the bias model, the refills and the divergence: what the loop asks."""
    plain: dict[str, Any] = {"model": "m", "out": Path("o")}
    bias, as_is = BiasConfig(**plain), BiasConfig(**plain, as_is=True, max_refills=2)
    assert (bias.trained_on(), bias.refills(), bias.bias_source()) == ("bias.jsonl", 9, None)
    assert (as_is.trained_on(), as_is.refills()) == ("bias_as_is.jsonl", 2)
    grpo, steered = GrpoConfig(**GIVEN), GrpoConfig(**GIVEN, sampling="bias-failure")
    assert (grpo.trained_on(), grpo.refills(), grpo.bias_source()) == ("questions.jsonl", 0, None)
    assert steered.bias_source() == BiasSource("b", offload=False, may_be_policy=False)
    cdpo = CdpoConfig(**GIVEN, offload_bias=True, allow_self_bias=True)
    assert cdpo.bias_source() == BiasSource("b", offload=True, may_be_policy=True)
    assert [one.objective().divergence for one in (bias, grpo, cdpo)] == [None, None, "k3"]
    mute = CdpoConfig(**GIVEN, repulsion=0, sampling="base-failure")
    assert mute.objective().divergence is None


def test_repulsion_zero_is_allowed_with_a_sampling_of_its_own() -> None:
    assert CdpoConfig(**GIVEN, repulsion=0, sampling="bias-failure").repulsion == 0


def test_fewer_than_no_refills_are_refused() -> None:
    """A step would draw no question at all and train on nothing."""
    with pytest.raises(UserError, match="max_refills is -1; allowed"):
        BiasConfig(model="m", out=Path("o"), max_refills=-1)


def test_the_config_imports_without_torch() -> None:
    code = "import sys, videothinker.algorithms.cdpo; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def rows_of(page: str) -> list[list[str]]:
    """Cells of every table row whose first cell is code."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    return [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in lines
        if line.startswith("| `")
    ]


def own_fields(config: type[Any], base: type[Any] | None) -> dict[str, str]:
    inherited = {f.name: f.default for f in dataclasses.fields(base)} if base else {}
    return {
        f.name: "required" if f.default is dataclasses.MISSING else repr(f.default)
        for f in dataclasses.fields(config)
        if f.name not in inherited or inherited[f.name] != f.default
    }


def test_every_default_stands_in_the_paper_index_with_its_source() -> None:
    wanted = {
        "all": own_fields(TrainConfig, None),
        "bias": own_fields(BiasConfig, TrainConfig),
        "grpo": own_fields(GrpoConfig, TrainConfig),
        "cdpo": own_fields(CdpoConfig, TrainConfig),
        "objective": {
            "STD_EPSILON": repr(objective.STD_EPSILON),
            "LOG_RATIO_CLAMP": repr(objective.LOG_RATIO_CLAMP),
        },
    }
    found: dict[str, dict[str, str]] = {stage: {} for stage in wanted}
    for name, stage, default, source, *_ in rows_of("paper_index.md"):
        found[stage][name.strip("`")] = default.strip("`")
        assert re.match(r"(paper|authors' script|authors' code|TRL|ours)\b", source), (name, source)
    assert found == wanted
