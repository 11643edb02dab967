"""Minimal pairs in training: both in a step, and paid only as far as the other is right."""

import threading
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import torch

from tests.training.toy_training import make_question
from videothinker.algorithms.bias import BiasConfig
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.errors import UserError
from videothinker.records import Question, Step, read_jsonl, write_jsonl
from videothinker.training import loop
from videothinker.training.data import in_order, load_training_set, partners
from videothinker.training.rewards import pair_consistency
from videothinker.training.sampling import uniform_stream
from videothinker.training.stages import train

PAIRED = {"reward_funcs": ("pair_consistency",), "scale_rewards": "type", "prompts_per_step": 4}
ROLES = ("irrelevant", "causal")


def pair(number: int) -> list[Question]:
    """Two questions on one transcript: what is right of one is wrong of the other."""
    one = msgspec.structs.replace(make_question(number), split="minimal_pairs")
    return [
        msgspec.structs.replace(
            one,
            id=f"{one.id}-{role}",
            answer=(letter,),
            groups={"pair": f"{number}-0", "role": role},
        )
        for role, letter in zip(ROLES, "AB", strict=True)
    ]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """As `diagnose` writes them; the diagnosis beside them is about other questions."""
    questions = [question for number in range(30) for question in pair(number)]
    return write_jsonl(tmp_path / "minimal_pairs.jsonl", questions)


def config(**changes: Any) -> GrpoConfig:
    return GrpoConfig(**({"model": "m", "out": Path("o")} | PAIRED | changes))


def test_every_step_draws_whole_pairs_in_every_epoch(pairs: Path) -> None:
    found = load_training_set(pairs, config(eval_questions=7))
    assert len(found.validation) == 6  # of 7 asked for at most: three pairs
    assert len(found.train) == 54
    assert found.composition()["labels"] == {"inferential": 27, "observational": 27}
    assert found.composition()["held_out_labels"] == {"inferential": 3, "observational": 3}
    kept = {q.groups["pair"] for q in found.validation}
    assert not kept & {q.groups["pair"] for q in found.train}
    draw = uniform_stream(found.train, seed=0)
    drawn = [draw(place) for place in range(108)]
    for one, other in zip(drawn[::2], drawn[1::2], strict=True):
        assert (one.groups["pair"], one.groups["role"]) == (other.groups["pair"], "irrelevant")
        assert other.groups["role"] == "causal"
    assert [q.id for q in drawn[:54]] != [q.id for q in drawn[54:]]
    few = load_training_set(pairs, config(train_questions=10))
    assert len({q.groups["pair"] for q in few.train}) == 5


def test_questions_without_a_pair_keep_their_order() -> None:
    plain = [make_question(number) for number in range(20)]
    mixed = [q for q in in_order([*plain, *pair(7)], 0, 0) if "pair" not in q.groups]
    assert mixed == in_order(plain, 0, 0)


def test_partners_are_found_by_their_pair() -> None:
    (a, b), (c, _) = pair(1), pair(2)
    assert partners({4: a, 9: b, 5: c, 6: make_question(3)}) == {4: 9, 9: 4}


def test_the_reward_by_hand() -> None:
    columns = {
        "question_id": ["q"] * 3,
        "choices": [("one", "two")] * 3,
        "answer": [("A",)] * 3,
        "truncated": [False] * 3,
    }
    said = [f"<think>x</think><answer>{letter}</answer>" for letter in ("A", "B", "A,B")]
    assert pair_consistency(said, **columns, partner_success=[0.25] * 3) == [0.25, 0, 0]
    assert pair_consistency(said, **columns, partner_success=[0.0] * 3) == [0, 0, 0]
    with pytest.raises(UserError, match="'q' .*without its partner; .*minimal_pairs"):
        pair_consistency(said, **columns, partner_success=[None] * 3)


def group(letters: str) -> Any:
    shape = torch.ones(len(letters), 2, dtype=torch.bool)
    said = [f"<think>x</think><answer>{letter}</answer>" for letter in letters]
    cut = torch.zeros(len(letters), dtype=torch.bool)
    return SimpleNamespace(
        mask_GC=shape, completion_ids_GC=shape.long(), truncated_G=cut, said=said
    )


def collecting(monkeypatch: pytest.MonkeyPatch, says: Mapping[str, str], processes: Any) -> Any:
    """As much of a loop as collecting needs; its policy says what is written, by question."""
    monkeypatch.setattr(
        loop, "generate", lambda _, prompts, *__, **___: [group(says[p]) for p in prompts]
    )
    labels = SimpleNamespace(labels={})
    shown = {"encode": lambda q: q.id, "look_ahead": lambda _: None, "words": lambda q: q.question}
    return SimpleNamespace(
        config=config(num_generations=4),
        policy=SimpleNamespace(decode=lambda one: one.said),
        prompts=SimpleNamespace(**shown, data=labels),
        draw=DRAWN.__getitem__,
        rewards={"pair_consistency": pair_consistency},
        processes=processes,
        whole=nullcontext,
        at_once=None,
    )


ALONE = SimpleNamespace(mine=lambda _: True, gather=lambda rows: rows)
DRAWN = [*pair(0), *pair(1)]
SAYS = dict(zip([q.id for q in DRAWN], ("AAAA", "AAAA", "AABB", "BBBA"), strict=True))
"""A describer on the first pair; on the second a reasoner, right in 2 of 4 and in 3 of 4."""
PAID = [[0, 0, 0, 0], [0, 0, 0, 0], [0.75, 0.75, 0, 0], [0.5, 0.5, 0.5, 0]]


def test_a_describer_earns_nothing_and_a_reasoner_what_its_other_half_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = loop.collect(collecting(monkeypatch, SAYS, ALONE), 1, 0)
    assert found.rewards_BG.tolist() == PAID
    assert found.dropped == 2
    lone = [*DRAWN[:3], make_question(9)]
    says = {**SAYS, lone[3].id: "AAAA"}
    one = collecting(monkeypatch, says, ALONE)
    one.draw = lone.__getitem__
    with pytest.raises(UserError, match="001-irrelevant' came without its partner"):
        loop.collect(one, 1, 0)


def test_a_pair_on_two_processes_is_paid_as_on_one(monkeypatch: pytest.MonkeyPatch) -> None:
    meet, boxes, found = threading.Barrier(2, timeout=20), {}, {}

    def process(rank: int) -> Any:
        def gather(rows: list[Any]) -> list[Any]:
            boxes[rank] = rows
            meet.wait()
            everyone = boxes[0] + boxes[1]
            meet.wait()
            return everyone

        return SimpleNamespace(mine=lambda item: item % 2 == rank, gather=gather)

    both = [collecting(monkeypatch, SAYS, process(rank)) for rank in range(2)]

    def work(rank: int) -> None:
        found[rank] = loop.collect(both[rank], 1, 0)

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sorted(found[rank].groups) for rank in range(2)] == [[0, 2], [1, 3]]
    for rank in range(2):
        assert found[rank].rewards_BG.tolist() == PAID


def test_completions_are_read_once_and_partners_asked_where_a_reward_names_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gathered: list[Any] = []
    seen: list[set[str]] = []

    def swallows(completions: list[str], **columns: Any) -> list[float]:
        seen.append(set(columns))
        return [float("A" in one) for one in completions]

    def gather(rows: list[Any]) -> list[Any]:
        gathered.append(rows)
        return rows

    one = collecting(monkeypatch, SAYS, SimpleNamespace(mine=lambda _: True, gather=gather))
    decoded: list[Any] = []
    one.policy = SimpleNamespace(decode=lambda g: decoded.append(g) or g.said)
    one.rewards = {"swallows": swallows}
    plain = loop.collect(one, 1, 0)
    assert (len(gathered), len(decoded)) == (1, 4)
    assert seen
    assert all("partner_success" not in columns for columns in seen)
    one.rewards = {"swallows": swallows, "pair_consistency": pair_consistency}
    both = loop.collect(one, 1, 0)
    assert (len(gathered), len(decoded)) == (3, 8)
    assert (both.rewards_BG - plain.rewards_BG).tolist() == PAID
    assert [row.valid for row in both.scored] == [row.valid for row in plain.scored]


def test_a_run_on_minimal_pairs(pairs: Path, quick: dict[str, Any], tmp_path: Path) -> None:
    rewards = ("pair_consistency", "tests.training.toy_training:length_reward")
    settings = quick | PAIRED | {"reward_funcs": rewards, "max_steps": 2}
    out = train(pairs, GrpoConfig(out=tmp_path / "run", **settings))
    for step in read_jsonl(out / "metrics.jsonl", Step):
        assert step.metrics["share/inferential"] == step.metrics["share/observational"] == 0.5
        assert 0 <= step.reward["pair_consistency"] <= 1


def test_data_without_pairs_is_refused_before_any_work(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    lacks = r"'toy/train/\d+' has no partner beside it.*give the minimal_pairs.jsonl"
    with pytest.raises(UserError, match=lacks):
        train(toy, GrpoConfig(out=tmp_path / "run", **(quick | PAIRED)))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts_per_step": 3}, "prompts_per_step is 3; allowed is an even number with"),
        ({"train_questions": 15}, "train_questions is 15; allowed is an even number with"),
        ({"sampling": "base-failure"}, "sampling is 'base-failure'; allowed is 'uniform' with"),
        ({"scale_rewards": "group"}, "divide the proportion out"),
    ],
)
def test_settings_that_would_part_a_pair_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config(**changes)


def test_refills_would_part_a_pair() -> None:
    with pytest.raises(UserError, match="max_refills is 9; allowed is 0"):
        BiasConfig(model="m", out=Path("o"), **cast("Any", PAIRED))
    BiasConfig(model="m", out=Path("o"), max_refills=0, **cast("Any", PAIRED))
