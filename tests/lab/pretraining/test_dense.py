"""The fast forward against transformers' own, and its spelling against `policy.encode`."""

import numpy as np
import torch

from tests.lab.pretraining.toy_pretraining import POOL
from videothinker.lab.pretraining import dense
from videothinker.lab.pretraining.batches import patches
from videothinker.lab.pretraining.segments import (
    ANSWER_WEIGHT,
    END,
    text_tokenizer,
    video_tokenizer,
)

SECONDS = 0.32 * POOL.frames
TASKS = [
    ("What will happen?\nA. The red object", "<think>Seen: none.</think><answer>A</answer>"),
    (
        "Which event?",
        "<think>Without red: cyan hits blue, red hits a.</think><answer>B</answer>",
    ),
]


def library_logits(policy, encoded):
    """transformers' own forward on one prompt, at our positions."""
    ids = encoded.input_ids_P[None]
    video = {}
    if encoded.video is not None:
        video = {
            "pixel_values_videos": encoded.video.pixel_values,
            "video_grid_thw": encoded.video.grid_thw,
            "position_ids": policy.positions(encoded)[:, None],
        }
    policy.model.set_attn_implementation("eager")
    with torch.no_grad():
        return policy.model(input_ids=ids, attention_mask=torch.ones_like(ids), **video).logits[0]


def check(policy, batch, layout, place, encoded):
    item, k = place
    with torch.no_grad():
        hidden, _, _ = dense.forward(policy.model, batch, layout)
        ours = policy.model.lm_head(hidden)[item, k]
    theirs = library_logits(policy, encoded)[int(batch.prefix_lengths_B[item]) :]
    assert len(theirs) > 10
    torch.testing.assert_close(ours[: len(theirs)], theirs, atol=2e-5, rtol=1e-4)


def test_video_forward_is_the_librarys(pretraining_policy, rng):
    policy = pretraining_policy
    shape = (2, POOL.frames, POOL.height, POOL.width, 3)
    frames = rng.integers(0, 256, shape, dtype=np.uint8)
    tokenizer = video_tokenizer(policy, frames[0], SECONDS)
    ids, weights = tokenizer.segments([*TASKS, *reversed(TASKS)])
    prefix = torch.tensor(tokenizer.prefix_ids).expand(2, -1)
    batch = dense.DenseBatch(
        prefix,
        torch.full((2,), prefix.shape[1]),
        ids.view(2, 2, -1),
        weights.view(2, 2, -1),
        patches(torch.from_numpy(frames), policy.vision),
    )
    for item in range(2):
        for k in range(2):
            words, completion = TASKS[k if item == 0 else 1 - k]
            encoded = policy.encode(
                words, policy.to_video(frames[item], SECONDS), prefill=completion + END
            )
            whole = torch.cat([prefix[item], batch.segment_ids_BKL[item, k]])
            assert torch.equal(whole[: len(encoded.input_ids_P)], encoded.input_ids_P)
            assert torch.equal(batch.pixels_BNF[item], encoded.video.pixel_values)
            check(policy, batch, tokenizer.layout, (item, k), encoded)
    assert torch.equal(policy.positions(encoded)[:, : prefix.shape[1]],
                       tokenizer.layout.prefix_positions_3P)  # fmt: skip


def test_looking_alone_gives_the_states_that_words_read(pretraining_policy, rng):
    """One layer of two: what is asked about the tokens is below the words' last layer."""
    policy = pretraining_policy
    shape = (2, POOL.frames, POOL.height, POOL.width, 3)
    frames = torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8))
    below, top = (
        video_tokenizer(policy, frames[0].numpy(), SECONDS, probe_layer=n) for n in (1, 2)
    )
    ids, weights = below.segments([*TASKS, *TASKS])
    prefix = torch.tensor(below.prefix_ids).expand(2, -1)
    batch = dense.DenseBatch(
        prefix,
        torch.full((2,), prefix.shape[1]),
        ids.view(2, 2, -1),
        weights.view(2, 2, -1),
        patches(frames, policy.vision),
    )
    with torch.no_grad():
        seen, states = dense.video_states(policy.model, batch, below.layout)
        _, seen_too, states_too = dense.forward(policy.model, batch, below.layout)
        _, above = dense.video_states(policy.model, batch, top.layout)
    assert states.shape == seen.shape
    torch.testing.assert_close(seen, seen_too)
    torch.testing.assert_close(states, states_too)
    assert not torch.allclose(states, above)


def test_transcripts_of_different_lengths_share_a_batch(pretraining_policy):
    policy = pretraining_policy
    contexts = [
        "Frame 0: red ab.\nEvents (4% missing): none.",
        "Frame 0: red ab, cyan cd, blue gone.",
    ]
    tokenizer = text_tokenizer(policy, longest=128)
    prefix, lengths = tokenizer.contexts(contexts)
    assert lengths[0] != lengths[1]
    ids, weights = tokenizer.segments([*TASKS, *TASKS])
    batch = dense.DenseBatch(prefix, lengths, ids.view(2, 2, -1), weights.view(2, 2, -1))
    for item, context in enumerate(contexts):
        for k, (words, completion) in enumerate(TASKS):
            encoded = policy.encode(f"{context}\n{words}", prefill=completion + END)
            length = int(lengths[item])
            whole = torch.cat([prefix[item, :length], batch.segment_ids_BKL[item, k]])
            assert torch.equal(whole[: len(encoded.input_ids_P)], encoded.input_ids_P)
            check(policy, batch, tokenizer.layout, (item, k), encoded)


def test_only_completions_are_targets(pretraining_policy):
    tokenizer = text_tokenizer(pretraining_policy, longest=64)
    ids, weights = tokenizer.segments(TASKS[:1])
    kept = ids[0][weights[0] > 0]
    assert pretraining_policy.tokenizer.decode(kept) == TASKS[0][1] + END
    heavy = ids[0][weights[0] == ANSWER_WEIGHT]
    assert pretraining_policy.tokenizer.decode(heavy) == "</think><answer>A</answer>" + END


def test_a_wrong_token_costs_its_log_probability(pretraining_policy):
    """Cross-entropy by hand on two target tokens."""
    policy = pretraining_policy
    ids = torch.tensor([[[5, 6, 7]]])
    weights = torch.tensor([[[0.0, 1.0, 1.0]]])
    hidden = torch.zeros(1, 1, 3, policy.model.config.text_config.hidden_size)
    batch = dense.DenseBatch(torch.zeros(1, 1), torch.ones(1), ids, weights)
    loss, _ = dense.losses(policy.model, hidden, batch)
    vocabulary = policy.model.config.text_config.vocab_size
    torch.testing.assert_close(loss.item(), float(np.log(vocabulary)))
