"""Is a model what its library says? Engine and plain transformers side by side on one clip.

The library's side is its own code: its chat template and processor, its positions, a forward of the
whole prompt repeated for each completion, and its `generate`. Where releases of the library differ
in what they hand over, the row says so. For whoever has real weights, which the
project's tests do not.
"""

import inspect
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.utils.import_utils import is_torchvision_available
from transformers.video_utils import VideoMetadata

from videothinker.answering.config import ModelsConfig
from videothinker.answering.families import Check, Outcome
from videothinker.console import say
from videothinker.errors import UserError
from videothinker.generation.base import Sampling, generate
from videothinker.models.base import Group, Prompt
from videothinker.models.catalog import load_model, place
from videothinker.models.folders import find_model, merging
from videothinker.models.loaded import Loaded, Policy
from videothinker.models.logprobs import group_logps
from videothinker.models.positions import continued
from videothinker.prompts import render
from videothinker.video import Clip, read_clip

CLIP = Path(__file__).with_name("clip.mp4")
"""8 s of 224x224: two whole seconds a step of 8 frames, because some releases of the library cut
fractions of one; sides that tokens of 28 and of 32 pixels divide, so that nothing is resized."""
FRAMES = 8
PIXELS = 224 * 224
QUESTION, CHOICES = "Which ball moves to the right?", ("the red ball", "the blue ball", "neither")
PATCHES = ("pixel_values_videos", "pixel_values")
"""What the library calls the tower's input; the second where a video is read as pictures."""
WORDS = 16
"""Tokens of the answer that is compared."""
NEAR = 0.02
"""Largest difference of a pixel, in deviations: its rounding to bfloat16."""
BARS = {"float32": 1e-3, "bfloat16": 0.25, "float16": 0.05}
"""Largest difference of a log-probability of any token of a likely answer, ours: far above rounding
in that type, far below what another video or shifted positions change."""


@dataclass(frozen=True, eq=False)
class Library:
    """What the library gives, kept when its model is gone."""

    text: str
    """The prompt as its chat template has it, a video in its one place."""
    ids_P: Tensor | None
    """The prompt as its processor has it; null where that needs what is not installed."""
    patches: np.ndarray | None
    unprocessed: str
    """Why those two are null."""
    places_XP: Tensor | None
    logps_GC: Tensor
    greedy: list[int]


@torch.no_grad()
def verify(source: str, config: ModelsConfig) -> Iterator[Check]:
    """Hold the model in a folder or under a hub name against its library.

    Raises:
        UserError: no complete model of a family that is loaded, or it cannot be run.
    """
    model = find_model(source)
    if model.adapter is not None:
        raise UserError(
            f"{source} is a LoRA adapter; make a complete model of it first: {merging(source)}"
        )
    placed = place(model, config.device, config.dtype)
    for line in placed.lines:
        say(line)
    found: Any = load_model(model, dtype=placed.dtype, device=placed.device)
    if not isinstance(found, Loaded):
        raise UserError(f"{source} has no weights here; give a model folder or a hub name")
    clip = read_clip(CLIP.parent, CLIP.name, FRAMES)
    prompt = _prompt(found, clip)
    (drawn,) = generate(found, [prompt], Sampling(1, WORDS, temperature=0), [0])
    group = _two_answers(found, drawn)
    library = _library(placed.weights, found, prompt, group, clip)
    yield _text(found, prompt, library)
    yield _ids(prompt, library)
    yield _patches(found, prompt, library)
    yield _positions(prompt, found, library)
    bar = BARS[placed.dtype]
    if isinstance(found, Policy):
        yield from _logps(found, clip, group, library, bar)
    ours = drawn.completion_ids_GC[0][drawn.mask_GC[0]].tolist()
    apart = ours != library.greedy
    rounded = apart and placed.dtype != "float32"
    told = _said(found, ours), _said(found, library.greedy)
    note = f"{placed.dtype} parts near words by rounding; float32 tells" if rounded else ""
    yield _row("greedy words", told, None if rounded else not apart, note)
    if isinstance(found, Policy):
        yield _saved(found)


def _prompt(found: Loaded, clip: Clip) -> Prompt:
    video = found.to_video(
        clip.frames, clip.seconds, times=clip.times.tolist(), min_pixels=1, max_pixels=PIXELS
    )
    return found.encode(render(QUESTION, CHOICES), video)


def _two_answers(found: Loaded, drawn: Group) -> Group:
    """The likeliest answer without what ends it, and a shorter one of the same words."""
    ids_C = drawn.completion_ids_GC[0]
    ends = torch.tensor(found.eos_ids)
    ids_C = ids_C[: max(2, int((~torch.isin(ids_C, ends)).long().cumprod(0).sum()))]
    mask_GC = torch.ones(2, len(ids_C), dtype=torch.bool)
    mask_GC[1, len(ids_C) // 2 :] = False
    return Group(drawn.prompt, ids_C.repeat(2, 1), mask_GC, torch.ones(2, dtype=torch.bool))


def _library(folder: Path, found: Loaded, prompt: Prompt, group: Group, clip: Clip) -> Library:
    """Its own model beside ours, gone when this returns."""
    words = [{"type": "video"}, {"type": "text", "text": render(QUESTION, CHOICES)}]
    text: Any = found.tokenizer.apply_chat_template(
        [{"role": "user", "content": words}], tokenize=False, add_generation_prompt=True
    )
    given, unprocessed = _processed(folder, text, prompt, clip)
    model: Any = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=found.model.dtype, attn_implementation="sdpa", local_files_only=True
    )
    model = model.to(found.device).eval()
    sequence = found.inputs(prompt)
    greedy = model.generate(
        **sequence, do_sample=False, max_new_tokens=WORDS, eos_token_id=list(found.eos_ids)
    )
    return Library(
        text=text,
        ids_P=given["input_ids"][0] if given else None,
        patches=_pixels(given).numpy() if given else None,
        unprocessed=unprocessed,
        places_XP=_library_positions(model, prompt, sequence),
        logps_GC=_naive_logps(model, found, group),
        greedy=greedy[0, prompt.prompt_tokens :].tolist(),
    )


def _processed(folder: Path, text: str, prompt: Prompt, clip: Clip) -> tuple[dict[str, Any], str]:
    """What the library's processor makes of the same frames, of the same size where that is theirs;
    or nothing, and why.
    """
    if not is_torchvision_available():
        return {}, "the library's processor needs torchvision: install one that fits this torch"
    shown = VideoMetadata(
        total_num_frames=len(clip.frames),
        fps=len(clip.frames) / clip.seconds,
        frames_indices=(clip.times * len(clip.frames) / clip.seconds).tolist(),
    )
    try:
        processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True)
        found = processor(
            text=[text],
            videos=[torch.from_numpy(clip.frames).permute(0, 3, 1, 2)],
            video_metadata=[shown],
            do_sample_frames=False,
            do_resize=clip.frames.shape[1:3] != (prompt.height, prompt.width),
            return_tensors="pt",
        )
    except (OSError, ValueError, TypeError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split())[:120]
        return {}, f"the library's processor does not run here ({type(error).__name__}: {reason})"
    return dict(found), ""


def _pixels(given: dict[str, Any]) -> Tensor:
    """The tower's input of a video, by whichever name."""
    return next(given[name] for name in PATCHES if name in given)


def _library_positions(model: Any, prompt: Prompt, sequence: dict[str, Any]) -> Tensor | None:
    """Its own; null where it has one axis, on which all tokens count."""
    find = getattr(model.model, "get_rope_index", None)
    if find is None:
        return None
    given: dict[str, Any] = {
        "input_ids": prompt.input_ids_P[None],
        "mm_token_type_ids": 2 * prompt.video_P.int()[None],
        "video_grid_thw": sequence["video_grid_thw"].cpu(),
    }
    if "second_per_grid_ts" in inspect.signature(find).parameters:
        given["second_per_grid_ts"] = torch.tensor([prompt.video.second_per_grid])
    return find(**given)[0][:, 0]


def _naive_logps(model: Any, found: Loaded, group: Group) -> Tensor:
    """`[G, C]` of repeated forwards over the whole sequence, at our positions."""
    prompt, rows = group.prompt, []
    places_XP = found.positions(prompt)
    for ids_C in group.completion_ids_GC:
        given = {  # what is said of every token, said of the answer's too: they are text
            name: pad(value, (0, len(ids_C))) if value.shape == (1, prompt.prompt_tokens) else value
            for name, value in found.inputs(prompt).items()
        }
        ids_1L = torch.cat([prompt.input_ids_P, ids_C])[None].to(found.device)
        given |= {"input_ids": ids_1L, "attention_mask": torch.ones_like(ids_1L)}
        if "position_ids" in given and places_XP is not None:
            places_XL = continued(places_XP, len(ids_C))
            given["position_ids"] = places_XL[:, None].to(found.device)
        logits = model(**given).logits[0, prompt.prompt_tokens - 1 : -1].float()
        rows.append(logits.log_softmax(-1).gather(-1, ids_C[:, None].to(found.device))[:, 0])
    return (torch.stack(rows) * group.mask_GC.to(found.device)).cpu()


def _text(found: Loaded, prompt: Prompt, library: Library) -> Check:
    """Our prompt with its video taken back into the one place of the chat template."""
    again_P = prompt.video_P & prompt.video_P.roll(1)
    ours = found.tokenizer.decode(prompt.input_ids_P[~again_P])
    spelled = found.spell_video(prompt.video)
    if spelled is not None:
        place, pieces = spelled
        ours = ours.replace("".join(pieces), place)
    told = [f"{len(text)} characters" for text in (ours, library.text)]
    return _row("chat template", told, ours == library.text)


def _ids(prompt: Prompt, library: Library) -> Check:
    ours, theirs = prompt.input_ids_P, library.ids_P
    told = f"{len(ours)} tokens"
    if theirs is None:
        return _row("token ids", (told, "-"), None, library.unprocessed)
    same, note = torch.equal(ours, theirs), ""
    if not same and _without_frame(theirs, prompt) == ours.tolist():
        same, note = True, "this release leaves two tokens of the template around the video"
    return _row("token ids", (told, f"{len(theirs)} tokens"), same, note)


def _without_frame(ids_P: Tensor, prompt: Prompt) -> list[int]:
    """The library's ids without the tokens that it leaves around a spelled video."""
    at = prompt.video_P.nonzero().flatten()
    opens, closes = prompt.input_ids_P[at[0] - 1], prompt.input_ids_P[at[-1] + 1]
    first = int((ids_P == opens).nonzero()[0])
    last = int((ids_P == closes).nonzero()[-1])
    return [token for place, token in enumerate(ids_P.tolist()) if place not in (first, last)]


def _patches(found: Loaded, prompt: Prompt, library: Library) -> Check:
    size = f"{prompt.frames} frames of {prompt.width}x{prompt.height}"
    if library.patches is None:
        return _row("frames to patches", (size, "-"), None, library.unprocessed)
    ours = _pixels(found.inputs(prompt)).float().cpu().numpy()
    same = ours.shape == library.patches.shape and np.abs(ours - library.patches).max() <= NEAR
    told = size, f"numbers {list(library.patches.shape)}"
    return _row("frames to patches", told, bool(same))


def _positions(prompt: Prompt, found: Loaded, library: Library) -> Check:
    ours, theirs = found.positions(prompt), library.places_XP
    if ours is None and theirs is not None:
        note = "its own forward finds them here too"
        return _row("positions", ("the library's", "-"), None, note)
    if ours is None or theirs is None:
        return _row("positions", ("one axis", "one axis"), None, "they count tokens")
    end = int(prompt.video_P.nonzero()[-1]) + 1
    inside = torch.equal(ours[:, :end], theirs[:, :end])
    after = [int(places[0, end]) for places in (ours, theirs)]
    beyond = int(ours[:, :end].max()) + 1
    note = ""
    if inside and after[0] != after[1] and after[0] == beyond:
        note = "the text begins beyond the video, as first published; in this release inside it"
    same = torch.equal(ours, theirs) or bool(note)
    told = [f"text after the video at {place}" for place in after]
    return _row("positions", told, same, note)


def _logps(
    found: Policy, clip: Clip, group: Group, library: Library, bar: float
) -> Iterator[Check]:
    """The likeliest answer's log-probabilities; and that they are of this video."""
    ours_GC = group_logps(found, group).logps_GC.cpu()
    gap = float((ours_GC - library.logps_GC).abs().max())
    told = [f"{float(logps[0].sum()):.4f} nats" for logps in (ours_GC, library.logps_GC)]
    note = f"{gap:.1e} apart at most, {bar:g} allowed"
    yield _row("log-probabilities", told, gap <= bar, note)
    blank = _prompt(found, Clip(np.zeros_like(clip.frames), clip.times, clip.seconds))
    other = Group(blank, group.completion_ids_GC, group.mask_GC, group.truncated_G)
    moved = float((group_logps(found, other).logps_GC.cpu() - ours_GC).abs().max())
    note = "what a black video changes; nothing would mean that none is seen"
    yield _row("the video is seen", (f"{moved:.1e} nats", "-"), moved > bar, note)


def _saved(found: Policy) -> Check:
    """Written to a folder and read from it: the same weights."""
    before = found.digest
    with tempfile.TemporaryDirectory() as folder:
        numbers = str(found.model.dtype).removeprefix("torch.")
        device = str(found.device)
        found.save(folder)
        after = load_model(folder, dtype=numbers, device=device).digest
    note = "digests of the weights after and before"
    return _row("save and reload", (after[:12], before[:12]), after == before, note)


def _said(found: Loaded, ids: list[int]) -> str:
    text = found.tokenizer.decode(ids, skip_special_tokens=True)
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def _row(what: str, told: Sequence[str], right: bool | None, note: str = "") -> Check:  # noqa: FBT001
    """`told` is what engine and library give; `right` is null where it could not be told."""
    verdict: Outcome = "not checked" if right is None else "right" if right else "wrong"
    return Check(what=what, ours=told[0], library=told[1], verdict=verdict, note=note)
