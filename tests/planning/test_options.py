"""The first set of memory options that fits, and no more of it than is needed."""

from pathlib import Path

import pytest

from tests.planning.paper import paper
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.planning.hardware import check_fits
from videothinker.planning.options import EIGHT_BIT, OPTIONS, apply, make_fit
from videothinker.planning.plan import GIB, make_plan

ON_CPU = "--optimizer-device cpu"


@pytest.mark.parametrize("card", [24, 48])
def test_options_save_what_they_say_and_are_no_more_than_needed(card: int) -> None:
    plan = make_plan(paper())
    steps = make_fit(plan, card * GIB)
    assert steps[-1].plan.needed <= card * GIB
    assert plan.needed - sum(step.saved for step in steps) == steps[-1].plan.needed
    assert [step.option.flag for step in steps] == [ON_CPU]


def test_a_plan_that_fits_needs_none() -> None:
    assert make_fit(make_plan(paper()), 80 * GIB) == []


def test_where_none_is_enough_all_that_help_are_named_in_order() -> None:
    steps = make_fit(make_plan(paper()), 4 * GIB)
    assert steps[-1].plan.needed > 4 * GIB
    order = [option.flag for option in OPTIONS]
    places = [order.index(step.option.flag) for step in steps]
    assert len(places) > 2
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("model", "gpus", "card", "flags"),
    [
        ("Qwen/Qwen2.5-VL-3B-Instruct", 2, 48, []),
        ("Qwen/Qwen2.5-VL-3B-Instruct", 8, 24, ["--shard layers"]),
        ("Qwen/Qwen2.5-VL-7B-Instruct", 8, 80, []),
        ("Qwen/Qwen2.5-VL-7B-Instruct", 8, 48, ["--shard layers"]),
        ("Qwen/Qwen2.5-VL-7B-Instruct", 2, 80, [ON_CPU]),
    ],
)
def test_several_gpus_have_an_answer(model: str, gpus: int, card: int, flags: list[str]) -> None:
    """And taking the advice is not refused: with it the plan fits and asks for nothing more."""
    plan = make_plan(paper(model=model), ranks=gpus)
    steps = make_fit(plan, card * GIB)
    assert [step.option.flag for step in steps] == flags
    taken = steps[-1].plan if steps else plan
    check_fits(taken, card * GIB)
    assert make_fit(taken, card * GIB) == []


def test_what_is_for_several_is_no_advice_for_one() -> None:
    flags = [step.option.flag for step in make_fit(make_plan(paper()), 4 * GIB)]
    assert "--shard layers" not in flags
    assert apply(make_plan(paper(), ranks=2), EIGHT_BIT) is None


def test_what_the_settings_exclude_is_no_advice() -> None:
    """Moments of 8 bits lie on the GPU."""
    steps = make_fit(make_plan(paper(moments="8bit")), 24 * GIB)
    assert ON_CPU not in [step.option.flag for step in steps]


def test_what_is_set_already_or_has_no_object_is_no_advice() -> None:
    config = GrpoConfig(
        model="Qwen/Qwen2.5-VL-3B-Instruct", out=Path("never"), optimizer_device="cpu"
    )
    flags = [step.option.flag for step in make_fit(make_plan(config), 4 * GIB)]
    assert not {"--gradient-checkpointing", "--offload-bias", ON_CPU} & set(flags)
