"""Questions to a model, and records of what it said.

Questions about one video share its decoding, its encoding and the beginning of their prompts.
Batches are cut from the whole list, never from what is missing, so that a resumed run computes
each of them exactly as an uninterrupted one does.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from videothinker import answers
from videothinker.answering import variants
from videothinker.answering.reading import read
from videothinker.benchmarks.protocols import Protocol, render
from videothinker.budget import Limits
from videothinker.console import progress
from videothinker.errors import UserError
from videothinker.generation.base import Sampling, generate
from videothinker.models.base import Group, Model, Prompt
from videothinker.processes import everyone
from videothinker.records import Question, Sample, Variant
from videothinker.runs import Journal
from videothinker.seeds import derive, numpy_generator
from videothinker.video import Clip, read_clip

Key = tuple[str, str, str, str, int]
"""Question, protocol key, variant, model digest, seed."""
MANY = 32
"""Requests of which a server refuses all only if it would refuse any."""


@dataclass(frozen=True)
class Asking:
    """One call's settings, the same for all its questions."""

    policy: Model
    model: str
    protocol: Protocol
    variant: Variant
    samples: int
    seed: int
    data_root: Path
    limits: Limits

    def keys(self, question: Question) -> list[Key]:
        """The keys of a question's samples: sample i carries seed + i."""
        head = (question.id, self.protocol.key, self.variant, self.model)
        return [(*head, self.seed + i) for i in range(self.samples)]


def key(sample: Sample) -> Key:
    """What identifies a sample; nothing with the same key is computed twice."""
    return (sample.question_id, sample.protocol, sample.variant, sample.model, sample.seed)


def answer_questions(
    policy: Model,
    questions: Sequence[Question],
    data_root: Path,
    protocol: Protocol,
    *,
    variant: Variant = "full",
    samples: int = 1,
    seed: int = 0,
    journal: Journal[Sample],
    model: str | None = None,
    rows: int = 32,
    videos: int = 8,
    **limits: Unpack[Limits],
) -> list[Sample]:
    """Answer every question `samples` times, computing only what `journal` does not hold.

    Args:
        policy: the model that answers.
        questions: each one must allow the variant (see `variants.applies`).
        data_root: what the questions' videos are relative to.
        protocol: prompt, frames, sampling and reading.
        variant: the intervention on the input.
        samples: answers a question; more than one needs a temperature.
        seed: sample i of a question is recorded under seed + i; draws come from `seed` alone.
        journal: what an earlier run left; every batch is appended as soon as it is there.
        model: the policy's digest, where the caller has it already.
        rows: completions decoded at once.
        videos: most videos held at once.
        limits: of reading a video (see `video.read_clip`).

    Returns:
        One record a question and sample, in the questions' order. A video that cannot be read
        gives `failed` records with the reason.

    Raises:
        UserError: duplicated question ids, several greedy samples, a question without premise
            under `struck`, or a served model that answers nothing.
    """
    _check(questions, protocol, variant, samples)
    asking = Asking(
        policy=policy,
        model=model or policy.digest,
        protocol=protocol,
        variant=variant,
        samples=samples,
        seed=seed,
        data_root=data_root,
        limits=limits,
    )
    done = _complete(asking, questions, journal, max(1, rows // samples), videos)
    return [done[k] for question in questions for k in asking.keys(question)]


def _complete(
    asking: Asking,
    questions: Sequence[Question],
    journal: Journal[Sample],
    size: int,
    videos: int,
) -> dict[Key, Sample]:
    """Answer what the journal does not hold and append it, up to `size` questions at a time.

    Each of several processes answers one batch of a round.
    """
    processes = everyone()
    done = {key(sample): sample for sample in processes.say(journal.records)}
    already = sum(all(k in done for k in asking.keys(q)) for q in questions)
    name = f"answer ({asking.protocol.name}, {asking.variant})"
    pending = [
        batch
        for batch in batches(questions, asking.variant, size, videos)
        if any(k not in done for question in batch for k in asking.keys(question))
    ]
    with progress(name, len(questions), done=already) as bar:
        for start in range(0, len(pending), processes.size):
            mine = pending[start : start + processes.size][processes.rank :][:1]
            new = [s for batch in mine for s in _answer(asking, batch, done) if key(s) not in done]
            new = processes.gather(new)
            journal.append(*new)
            done.update((key(sample), sample) for sample in new)
            bar.advance(len({s.question_id for s in new}))
    return done


def batches(
    questions: Sequence[Question], variant: Variant, size: int, videos: int = 8
) -> Iterator[list[Question]]:
    """Up to `size` questions about up to `videos` videos at a time.

    Questions about one video stand together, in the order in which the videos come first; a video
    is split only where it alone has more than `size` questions.
    """
    by_video: dict[object, list[Question]] = {}
    for question in questions:
        seen = variants.needs_video(question, variant)
        place = (question.video, question.clip) if seen else question.id
        by_video.setdefault(place, []).append(question)
    batch: list[Question] = []
    count = 0
    for place, group in by_video.items():
        count += isinstance(place, tuple)
        if batch and (len(batch) + len(group) > size or count > videos):
            yield batch
            batch, count = [], int(isinstance(place, tuple))
        batch = [*batch, *group]
        while len(batch) > size:
            yield batch[:size]
            batch = batch[size:]
    if batch:
        yield batch


def _check(
    questions: Sequence[Question], protocol: Protocol, variant: Variant, samples: int
) -> None:
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise UserError(f"question id {question.id!r} comes twice; ids must be unique")
        seen.add(question.id)
        variants.check(question, variant)
    check_samples(protocol, samples)


def check_samples(protocol: Protocol, samples: int) -> None:
    """Refuse several answers that would all be the same.

    Raises:
        UserError: several samples at temperature 0.
    """
    if samples > 1 and protocol.temperature == 0:
        raise UserError(
            f"{samples} samples at temperature 0 would all be the same; give a temperature above 0"
        )


def _answer(
    asking: Asking, batch: Sequence[Question], done: Mapping[Key, Sample]
) -> Iterator[Sample]:
    prompts: dict[str, Prompt] = {}
    failures: dict[str, str] = {}
    videos: dict[object, Any] = {}
    for question in batch:
        place = (question.video, question.clip)
        if place not in videos:
            videos[place] = _see(asking, question)
        seen = videos[place]
        if isinstance(seen, str):
            failures[question.id] = seen
        else:
            prompts[question.id] = _encode(asking, question, seen)
    groups = _generate(asking, prompts)
    _refuse_silence(asking, groups, done)
    for question in batch:
        reason = failures.get(question.id)
        texts = [""] * asking.samples if reason else asking.policy.decode(groups[question.id])
        for i, text in enumerate(texts):
            error = reason or groups[question.id].errors.get(i)
            if error:
                yield _failed(asking, question, i, error)
            else:
                yield _record(asking, question, groups[question.id], i, text)


def _refuse_silence(
    asking: Asking, groups: Mapping[str, Group], done: Mapping[Key, Sample]
) -> None:
    """A request that a served model refuses is a failed record; when it refuses all, we stop.

    All: of a variant of which nothing was answered yet, or of many at once.
    """
    errors = [error for group in groups.values() for error in group.errors.values()]
    if not errors or len(errors) < len(groups) * asking.samples:
        return
    kind = (asking.protocol.key, asking.variant, asking.model)
    some = any(k[1:4] == kind and s.verdict != "failed" for k, s in done.items())
    if some and len(errors) < MANY:
        return
    raise UserError(
        f"the endpoint answered none of {len(errors):,} requests (variant {asking.variant}); of "
        f"the first it said: {errors[0]}; change what it is sent (--endpoint-input, --frames, "
        "--max-pixels) or how it is served, then run the same command again"
    )


def _see(asking: Asking, question: Question) -> Any:
    """The question's video, as a string why not, or None where none is shown.

    As `Model.to_video` prepares it; a raw `Clip` where the variant depends on the question.
    """
    if question.video is None or not variants.needs_video(question, asking.variant):
        return None
    try:
        root, protocol = asking.data_root, asking.protocol
        clip = read_frames(root, question.video, protocol, clip=question.clip, **asking.limits)
        if variants.PROBES[asking.variant].draws:
            return clip
        shown = variants.apply(question, asking.variant, clip, numpy_generator(asking.seed)).clip
        return None if shown is None else _prepare(asking, shown)
    except UserError as error:  # unreadable, or frames of a shape the model cannot take
        return str(error)


def read_frames(
    root: Path,
    video: str,
    protocol: Protocol,
    *,
    clip: tuple[float, float] | None = None,
    **limits: Unpack[Limits],
) -> Clip:
    """The frames a protocol asks for, as far as there are so many.

    Raises:
        BadVideo: the video cannot give any.
    """

    def some(frames: int) -> Clip:
        return read_clip(root, video, frames, clip=clip if protocol.clip else None, **limits)

    if protocol.fps is None:
        return some(protocol.frames)
    even = int(some(1).seconds * protocol.fps + 1e-6) // 2 * 2  # 10 s may be 9.999...
    return some(min(protocol.frames, max(4, even)))


def _prepare(asking: Asking, clip: Clip) -> Any:
    low, high = asking.protocol.min_pixels, asking.protocol.max_pixels
    return asking.policy.to_video(
        clip.frames, clip.seconds, times=clip.times.tolist(), min_pixels=low, max_pixels=high
    )


def _encode(asking: Asking, question: Question, seen: Any) -> Prompt:
    generator = numpy_generator(asking.seed, asking.variant, question.id)
    raw = seen if isinstance(seen, Clip) else None
    shown = variants.apply(question, asking.variant, raw, generator)
    video = None if isinstance(seen, Clip) else seen
    if shown.clip is not None:
        video = _prepare(asking, shown.clip)
    words = render(asking.protocol, question, text=shown.text, context=shown.context)
    system, prefill = asking.protocol.system, asking.protocol.prefill
    return asking.policy.encode(words, video, system=system, prefill=prefill)


def _generate(asking: Asking, prompts: Mapping[str, Prompt]) -> dict[str, Group]:
    """Question id -> its completions."""
    sampling = Sampling(
        num_generations=asking.samples,
        max_completion_length=asking.protocol.max_new_tokens,
        temperature=asking.protocol.temperature,
        top_p=asking.protocol.top_p,
    )
    seeds = [derive(asking.seed, "answer", asking.variant, name) for name in prompts]
    groups = generate(asking.policy, list(prompts.values()), sampling, seeds)
    return dict(zip(prompts, groups, strict=True))


def _record(asking: Asking, question: Question, group: Group, index: int, text: str) -> Sample:
    return answers.record(
        question.id,
        text,
        read(asking.protocol, question, text, truncated=bool(group.truncated_G[index])),
        group.prompt,
        model=asking.model,
        protocol=asking.protocol.key,
        gold=question.answer,
        variant=asking.variant,
        seed=asking.seed + index,
    )


def _failed(asking: Asking, question: Question, index: int, reason: str) -> Sample:
    return Sample(
        question_id=question.id,
        model=asking.model,
        protocol=asking.protocol.key,
        variant=asking.variant,
        seed=asking.seed + index,
        verdict="failed",
        error=reason,
    )
