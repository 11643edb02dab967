"""A plan's tokens, prompts, ranks and bias model."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.planning.paper import paper
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.errors import UserError
from videothinker.models.catalog import find_shape
from videothinker.models.shapes import layer_parameters, parameters
from videothinker.planning import memory
from videothinker.planning.hardware import who_waits
from videothinker.planning.plan import GIB, Choice, bias_kind, make_plan
from videothinker.training.data import load_training_set


def test_the_tokens_of_a_clevrer_video() -> None:
    plan = make_plan(paper())
    assert (plan.prompt.width, plan.prompt.height) == (364, 252)
    assert plan.video_tokens == 936  # 8 pairs of frames, 9 x 13 tokens each
    assert plan.prompt_tokens == 936 + 2 + 210
    assert "assumed" in plan.prompt.source
    ratio = sum(plan.flops(shared=False).values()) / sum(plan.flops(shared=True).values())
    assert ratio == pytest.approx(2.5, abs=0.1)


def test_ranks_share_the_prompts_of_a_step_and_what_is_sharded() -> None:
    config = paper(prompts_per_step=3)
    alone, two, many = (make_plan(config, ranks=ranks) for ranks in (1, 2, 8))
    assert [plan.work.prompts for plan in (alone, two, many)] == [3, 2, 1]
    assert alone.flops(shared=True) == two.flops(shared=True)
    whole, eighth = memory.resident(alone.work), memory.resident(many.work)
    assert eighth == {
        "weights": whole["weights"],
        "bias model": whole["bias model"],
        "float32 master": pytest.approx(whole["float32 master"] / 8, abs=4),
        "moments": pytest.approx(whole["moments"] / 8, abs=8),
    }
    layers = make_plan(replace(config, shard="layers"), ranks=8)
    decoder = 2 * layer_parameters(layers.shape) * layers.shape.layers
    found = memory.resident(layers.work)
    assert found["bias model"] == pytest.approx(whole["bias model"] - 7 / 8 * decoder, abs=2)


def test_processes_without_a_prompt_are_named() -> None:
    assert who_waits(8, 8) is who_waits(16, 8) is who_waits(2, 1) is None
    assert str(who_waits(2, 8)).startswith("6 of 8 processes")
    assert str(who_waits(3, 2)).startswith("1 of 2 processes")


def test_what_passes_between_ranks_in_a_step_by_hand() -> None:
    """Each receives the others' share of the weights an update, of float32 gradients a prompt."""
    config = paper(prompts_per_step=4)
    assert make_plan(config).traffic == {}
    plan = make_plan(config, ranks=2)
    count = sum(parameters(plan.shape).values())
    told = {"weights gathered": 2 * count // 2, "gradients summed": 2 * 4 * count // 2}
    assert plan.traffic == {name: pytest.approx(size, abs=4) for name, size in told.items()}


def test_text_is_measured_where_data_and_tokenizer_are_at_hand(toy: Path, base: Path) -> None:
    config = GrpoConfig(model=str(base), out=Path("never"))
    data = load_training_set(toy, config)
    plan = make_plan(config, data.train, data.data_root)
    assert plan.prompt.grid is None
    assert "measured" in plan.prompt.source
    assert 20 < plan.prompt.mean_text <= plan.prompt.text < 400


def test_under_lora_the_bias_model_is_counted_as_what_it_is(base: Path, tmp_path: Path) -> None:
    given = {"model": str(base), "out": Path("o"), "lora_rank": 4}
    kinds = {name: tmp_path / name for name in ("merged", "adapter", "old", "absent")}
    for name in ("merged", "adapter", "old"):
        (kinds[name] / "model").mkdir(parents=True)
    (kinds["adapter"] / "model" / "adapter_config.json").write_text("{}")
    (kinds["old"] / "adapter").mkdir()  # an earlier version's, beside a complete model
    (kinds["old"] / "adapter" / "adapter_config.json").write_text("{}")
    found = {name: bias_kind(CdpoConfig(**given, bias=str(at))) for name, at in kinds.items()}
    assert found == {"merged": "model", "adapter": "adapter", "old": "model", "absent": "adapter"}
    assert bias_kind(GrpoConfig(**given)) == "none"


def test_a_step_takes_what_the_card_has() -> None:
    """First the merged copy, then prompts together; on the smallest card neither."""
    asked = {"prompts_per_step": 4, "gradient_checkpointing": True}
    plan = make_plan(paper(lora_rank=64, lora_alpha=128, **asked))
    assert plan.choose(80 * GIB) == Choice(4, merges=True, recomputes=True)
    least = plan.choose(plan.needed)
    assert least.merges is False
    found = [plan.choose(size * GIB) for size in range(plan.needed // GIB, 81)]
    assert sorted(found, key=lambda one: (one.merges, one.at_once)) == found
    assert len(set(found)) >= 2
    full = make_plan(paper(**asked))
    every = Choice(4, merges=True, recomputes=True)
    assert full.choose(full.needed) == every  # the update needs more by far


def test_activations_are_kept_where_there_is_room_or_it_is_asked() -> None:
    """Room is nine tenths of the card; what the settings say goes before."""
    given = {"lora_rank": 64, "lora_alpha": 128, "prompts_per_step": 2}
    plan, kept = (make_plan(paper(**given, gradient_checkpointing=one)) for one in (None, False))
    assert plan.needed == make_plan(paper(**given, gradient_checkpointing=True)).needed
    assert kept.needed > 1.5 * plan.needed
    assert plan.choose(plan.needed).recomputes
    room = int(kept.needed / 0.9)
    assert [plan.choose(size).recomputes for size in (room - GIB, room + GIB)] == [True, False]
    assert not kept.choose(plan.needed).recomputes
    asked = make_plan(paper(**given, gradient_checkpointing=True))
    assert asked.choose(100 * room).recomputes


def test_what_a_models_success_costs_before_step_1() -> None:
    """Completions and their rollout, of the bias model's own size, in operations and in hours."""
    plain, by_bias = make_plan(paper()), make_plan(paper(sampling="bias-failure"))
    assert (plain.measured, plain.measuring_flops) == (0, 0)
    assert by_bias.measured == 1000
    rollout = by_bias.flops(shared=True)["rollout"] / by_bias.config.prompts_per_step
    assert by_bias.measuring_flops == pytest.approx(1000 * rollout)  # 8 answers are a group
    assert make_plan(paper(sampling="base-failure", train_questions=300)).measured == 300
    assert make_plan(paper(sampling="bias-failure", success=Path("s.jsonl"))).measured == 0


def test_a_published_bias_model_of_another_size_is_counted_as_what_it_is() -> None:
    """Its weights, its pass and its answers; under LoRA too it is a model of its own."""
    small, large = (f"Qwen/Qwen3-VL-{size}-Instruct" for size in ("2B", "4B"))
    given = {"model": small, "sampling": "bias-failure"}
    same, other = (make_plan(paper(**given, bias=name)) for name in (small, large))
    assert other.work.bias_shape == find_shape(large)
    assert memory.bias_weights(other.work) > 1.9 * memory.bias_weights(same.work)
    ours, theirs = same.flops(shared=True), other.flops(shared=True)
    assert theirs["bias"] > 1.9 * ours["bias"]
    assert theirs | {"bias": 0} == ours | {"bias": 0}
    assert other.measuring_flops > 1.9 * same.measuring_flops
    assert bias_kind(paper(**given, bias=large, lora_rank=4)) == "model"
    with pytest.raises(UserError, match=r"Qwen2\.5-VL .*Qwen3-VL"):
        make_plan(paper(**given, bias="Qwen/Qwen2.5-VL-3B-Instruct"))
