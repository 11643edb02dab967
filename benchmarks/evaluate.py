"""Answering questions that share a video, against the plain loop, in one run.

    OMP_NUM_THREADS=1 python benchmarks/evaluate.py [--new-tokens 32] [--questions 3 12]

Plain loop: each question reads its video, prepares it, and calls transformers' own `generate`.
Ours: `answering.ask.answer_questions`. `prompt_s` is one prompt with its video and one token; the
ceiling of sharing alone is the plain loop without all prompts but one: what is beyond it comes from
decoding rows together. One thread, greedy, float32, CPU time of this process (video
decoding runs in a child process and is counted for neither). The last line is JSON.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import torch

from videothinker.answering.ask import answer_questions, read_frames
from videothinker.answering.protocols import Protocol, render, resolve
from videothinker.models.base import Prompt
from videothinker.models.catalog import load_policy
from videothinker.models.loaded import Policy
from videothinker.models.positions import continued
from videothinker.models.qwen2_5_vl.small import SmallConfig, build_small
from videothinker.records import Question, Sample
from videothinker.runs import Journal

TIE = 1e-4
SHAPE = SmallConfig(
    hidden=512,
    layers=8,
    heads=8,
    kv_heads=2,
    intermediate=1408,
    vision_hidden=320,
    vision_layers=6,
    vision_heads=8,
    vision_intermediate=864,
    vision_full_attention=(2, 5),
    max_pixels=336 * 224,
    initializer_range=0.05,
)
WORDS = "Which of the following will happen if the red metal cube is removed? collide blue sphere"


def write_video(path: Path, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 255, (224, 336, 3), dtype=np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 336, 224, "yuv420p"
        for t in range(16):
            picture = noise.copy()
            picture[40:80, 16 * t : 16 * t + 40] = (255, 0, 0)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


def make_questions(count: int) -> list[Question]:
    stems = ("the red cube", "the blue sphere", "the green cylinder", "the gray metal cube")
    return [
        Question(
            id=f"q/{i}",
            dataset="bench",
            split="s",
            video="v.mp4",
            question=f"Which of the following will happen if {stems[i % 4]} is removed? ({i})",
            choices=("The red cube and the blue sphere collide", "The cube exits", "Neither"),
            answer=("A",),
            type="counterfactual",
        )
        for i in range(count)
    ]


def encode(policy: Policy, root: Path, protocol: Protocol, question: Question) -> Prompt:
    clip = read_frames(root, question.video or "", protocol)
    return policy.encode(render(protocol, question), policy.to_video(clip.frames, clip.seconds))


@torch.no_grad()
def plain_answer(policy: Policy, prompt: Prompt, new_tokens: int) -> torch.Tensor:
    ids = prompt.input_ids_P[None]
    out = policy.model.generate(
        **model_inputs(policy, prompt, ids), max_new_tokens=new_tokens, do_sample=False
    )
    return out[0, ids.shape[1] :]


def model_inputs(
    policy: Policy, prompt: Prompt, ids: torch.Tensor
) -> dict[str, torch.Tensor | None]:
    """As the library takes them; positions are ours."""
    places_3L = continued(policy.positions(prompt), ids.shape[1] - prompt.prompt_tokens)
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values_videos": prompt.video.pixel_values,
        "video_grid_thw": prompt.video.grid_thw,
        "position_ids": places_3L[:, None],
    }


@torch.no_grad()
def gap_at_difference(policy: Policy, prompt: Prompt, ours: str, plain: torch.Tensor) -> float:
    """Distance of the two best logits where the two texts part."""
    ids = torch.cat([prompt.input_ids_P, plain])[None]
    logits = policy.model(**model_inputs(policy, prompt, ids)).logits[0]
    for i in range(len(plain)):
        said = policy.tokenizer.decode(plain[: i + 1], skip_special_tokens=True)
        if not ours.startswith(said):
            best = logits[prompt.prompt_tokens + i - 1].topk(2).values
            return float(best[0] - best[1])
    return 0.0


def compare(policy: Policy, root: Path, protocol: Protocol, count: int) -> dict[str, float]:
    questions = make_questions(count)
    started = time.process_time()
    plain = [
        plain_answer(policy, encode(policy, root, protocol, q), protocol.max_new_tokens)
        for q in questions
    ]
    plain_seconds = time.process_time() - started
    started = time.process_time()
    plain_answer(policy, encode(policy, root, protocol, questions[0]), 1)
    prompt_seconds = time.process_time() - started
    journal = Journal(root / f"{count}-{protocol.max_new_tokens}.jsonl", Sample)
    started = time.process_time()
    found = answer_questions(policy, questions, root, protocol, journal=journal, model="bench")
    shared_seconds = time.process_time() - started
    journal.close()
    differ, ties = 0, 0
    for question, ids, sample in zip(questions, plain, found, strict=True):
        if policy.tokenizer.decode(ids, skip_special_tokens=True) != sample.text:
            prompt = encode(policy, root, protocol, question)
            gap = gap_at_difference(policy, prompt, sample.text, ids)
            ties += gap < TIE
            differ += gap >= TIE
    return {
        "questions": count,
        "new_tokens": protocol.max_new_tokens,
        "prompt_tokens": found[0].prompt_tokens,
        "plain_s": round(plain_seconds, 2),
        "shared_s": round(shared_seconds, 2),
        "ratio": round(plain_seconds / shared_seconds, 2),
        "prompt_s": round(prompt_seconds, 2),
        "ceiling_of_sharing_alone": round(
            plain_seconds / (plain_seconds - (count - 1) * prompt_seconds), 2
        ),
        "distinct_texts": len({sample.text for sample in found}),
        "different": differ,
        "ties": ties,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--questions", type=int, nargs="+", default=[3, 12])
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_video(root / "v.mp4", 0)
        build_small(root / "model", SHAPE, [WORDS] * 3)
        policy = load_policy(root / "model")
        policy.model.generation_config.eos_token_id = None  # every answer has all its tokens
        policy.tokenizer.eos_token_id = policy.tokenizer.pad_token_id
        protocol = resolve(
            "demo", "jsonl", frames=16, max_pixels=336 * 224, max_new_tokens=args.new_tokens
        )
        plain_answer(policy, encode(policy, root, protocol, make_questions(1)[0]), 4)  # warm up
        millions = sum(p.numel() for p in policy.model.parameters()) / 1e6
        found = [compare(policy, root, protocol, count) for count in args.questions]
    for row in found:
        print(row)
    print(json.dumps({"parameters_M": round(millions, 1), "threads": 1, "runs": found}))


if __name__ == "__main__":
    main()
