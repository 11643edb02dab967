"""Minimal pairs in pretraining: the removed object alone decides."""

from dataclasses import replace

from tests.lab.pretraining.toy_pretraining import POOL
from videothinker.lab.pretraining.config import PretrainConfig
from videothinker.lab.pretraining.curriculum import task
from videothinker.lab.pretraining.measure import Measured, summary
from videothinker.lab.pretraining.questions import answer_from, paired_what_if


def test_the_halves_differ_in_the_removed_object_and_in_the_answer_alone(pretraining_scenes, rng):
    found = [(one, paired_what_if(one, rng)) for one in pretraining_scenes]
    pairs = [(one, pair) for one, pair in found if pair is not None]
    assert len(pairs) >= 3
    for one, (idle, causal) in pairs:
        assert idle.choices == causal.choices
        assert idle.gold != causal.gold
        assert idle.removed != causal.removed
        for half in (idle, causal):
            assert half.removed is not None
            assert answer_from(half, one.collisions(without=half.removed)) == half.gold
        # what is seen answers the first; it cannot answer both
        assert answer_from(idle, one.collisions()) == idle.gold


def test_the_share_of_pairs_is_asked_for(pretraining_scenes, rng):
    config = PretrainConfig(tier="transcript", pool=POOL, inferential_share=1.0)
    answers = {}
    for share in (0.0, 1.0):
        scene = next(s for s in pretraining_scenes if paired_what_if(s, rng) is not None)
        answers[share] = {
            task("what_if", scene, replace(config, pair_share=share), rng, flipped=False)[0]
            for _ in range(40)
        }
    assert answers[0.0] != answers[1.0]


def test_a_pair_counts_only_where_both_are_right():
    def record(scene: int, exact: float) -> Measured:
        return Measured(
            step=1, probe="pair sim", scene=scene, question="", gold=("A",), text="",
            format=True, exact=exact,
        )  # fmt: skip

    rows = [record(1, 1.0), record(1, 1.0), record(2, 1.0), record(2, 0.0)]
    assert summary(rows)["pair_sim_both"] == 0.5
