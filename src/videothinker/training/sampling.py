"""Which questions a step draws: uniformly, by a model's success, or by label.

Bias-failure sampling is ours (docs/method.md): the bias model's success p(q) on every training
question is measured once, and each draw takes question q with probability proportional to
1 - p(q) + eps. The bias model chooses the questions it cannot answer by looking; nothing is
repelled, and no label is needed beyond the right answers that the reward needs anyway.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np

from videothinker import answers, console
from videothinker.algorithms.base import TrainConfig
from videothinker.dependence import average
from videothinker.errors import UserError
from videothinker.families import family_of
from videothinker.generation.base import generate
from videothinker.processes import Processes
from videothinker.records import Question, Sample, read_jsonl
from videothinker.runs import Journal, Run
from videothinker.seeds import derive, numpy_generator
from videothinker.training.data import in_order
from videothinker.training.rollouts import Prompts, sampling_of
from videothinker.training.step import Bias

PROTOCOL = "training"
"""Name of the prompt and settings of training in a `Sample`."""


def open_stream(
    prompts: Prompts,
    bias: Bias | None,
    run: Run | None,
    processes: Processes,
    *,
    at_once: int | None = None,
) -> Callable[[int], Question]:
    """Position -> question, by the sampling asked for.

    Args:
        prompts: the policy, the questions and the settings.
        bias: measured for 'bias-failure', which has one.
        run: what was measured is kept there; null in all processes but the main one.
        processes: they share the measuring.
        at_once: prompts whose completions are drawn together; null for all that come.
    """
    config, data = prompts.config, prompts.data
    questions, kind = data.train, config.sampling
    labels = [data.labels.get(question.id, "unlabelled") for question in questions]
    if kind == "uniform":
        return uniform_stream(questions, config.seed)
    if kind == "label":
        assert config.inferential_share is not None
        weights = label_weights(labels, config.inferential_share)
        return weighted_stream(questions, weights, config.seed)
    judge = bias if bias and kind == "bias-failure" else None
    asked = Prompts(judge.policy if judge else prompts.policy, data, config)
    with judge.active() if judge else nullcontext():
        if config.success is not None:
            success = read_success(config.success, questions, asked.policy.digest)
        else:
            journal = run.journal("success.jsonl", Sample) if run else None
            if run:
                who, times = "bias model" if judge else "model", config.sampling_rollouts
                console.say(
                    f"{kind} sampling: before step 1 the {who} answers each of "
                    f"{len(questions):,} questions {times} times"
                )
            success = measure_success(asked, journal, processes, at_once=at_once)
    weights = success_weights(success, questions, config)
    if run and len(questions) > 1 and len(set(weights)) == 1:
        console.say(
            f"warning: {kind} sampling draws as uniform does: every question was answered right "
            f"equally often ({success[questions[0].id]:.0%})"
        )
    if run and config.whole_families and len(_families(questions)) == len(questions):
        console.say(
            "warning: --whole-families finds none: no two questions name the same family; leave "
            "it out, or give questions that have groups.family"
        )
    if run and data.labels:
        drawn = evened(questions, weights) if config.whole_families else weights
        run.facts["drawn_shares"] = shares = drawn_shares(drawn, labels)
        told = ", ".join(f"{share:.0%} {label}" for label, share in shares.items())
        console.say(f"{kind} sampling draws {told}; --sampling-floor moves it")
    return weighted(questions, weights, config)


def uniform_stream(questions: Sequence[Question], seed: int) -> Callable[[int], Question]:
    """Position -> question: every question once an epoch, in that epoch's seeded order."""
    orders: dict[int, list[Question]] = {}

    def draw(position: int) -> Question:
        epoch, place = divmod(position, len(questions))
        if epoch not in orders:
            orders.clear()
            orders[epoch] = in_order(questions, seed, epoch)
        return orders[epoch][place]

    return draw


def weighted_stream(
    questions: Sequence[Question], weights: Sequence[float], seed: int
) -> Callable[[int], Question]:
    """Position -> question, drawn with replacement in proportion to `weights`."""
    cumulative = np.cumsum(np.asarray(weights, dtype=np.float64))

    def draw(position: int) -> Question:
        point = numpy_generator(seed, "draw", position).random() * cumulative[-1]
        return questions[int(np.searchsorted(cumulative, point, side="right"))]

    return draw


def whole_family_stream(
    questions: Sequence[Question], weights: Sequence[float], seed: int
) -> Callable[[int], Question]:
    """Position -> question: one family after the other, drawn with replacement.

    A family is drawn by the mean of its questions' weights, so that its questions together come as
    often as by `weighted_stream`, and each of them as often as the others.
    """
    families = list(_families(questions).values())
    cumulative = np.cumsum([fmean(weights[place] for place in family) for family in families])
    drawn: list[Question] = []
    draws = itertools.count()

    def draw(position: int) -> Question:
        while len(drawn) <= position:
            point = numpy_generator(seed, "draw", next(draws)).random() * cumulative[-1]
            family = families[int(np.searchsorted(cumulative, point, side="right"))]
            drawn.extend(questions[place] for place in family)
        return drawn[position]

    return draw


def evened(questions: Sequence[Question], weights: Sequence[float]) -> list[float]:
    """Every question's weight as `whole_family_stream` draws it: the mean of its family's."""
    found = list(weights)
    for family in _families(questions).values():
        mean = fmean(weights[place] for place in family)
        for place in family:
            found[place] = mean
    return found


def _families(questions: Sequence[Question]) -> dict[str, list[int]]:
    """Places of each family's questions; a question without a family is one of its own."""
    members: dict[str, list[int]] = {}
    for place, question in enumerate(questions):
        members.setdefault(family_of(question), []).append(place)
    return members


def weighted(
    questions: Sequence[Question], weights: Sequence[float], config: TrainConfig
) -> Callable[[int], Question]:
    """Position -> question by weight, families whole if that is asked for."""
    stream = whole_family_stream if config.whole_families else weighted_stream
    return stream(questions, weights, config.seed)


def success_weights(
    success: Mapping[str, float], questions: Sequence[Question], config: TrainConfig
) -> list[float]:
    """The weight of every question under a sampling by success."""
    weigh = curriculum_weights if config.sampling == "curriculum" else failure_weights
    return weigh(success, [question.id for question in questions], config.sampling_floor)


def failure_weights(success: Mapping[str, float], ids: Sequence[str], floor: float) -> list[float]:
    """1 - success(q) + floor for every question."""
    return [1 - success[question_id] + floor for question_id in ids]


def curriculum_weights(
    success: Mapping[str, float], ids: Sequence[str], floor: float
) -> list[float]:
    """4 success(q) (1 - success(q)) + floor: most for what is right every other time."""
    return [4 * success[one] * (1 - success[one]) + floor for one in ids]


def drawn_shares(weights: Sequence[float], labels: Sequence[str]) -> dict[str, float]:
    """Label -> expected share of the draws under `weights`."""
    totals: dict[str, float] = {}
    for weight, label in zip(weights, labels, strict=True):
        totals[label] = totals.get(label, 0.0) + weight
    return {label: total / sum(weights) for label, total in sorted(totals.items())}


def label_weights(labels: Sequence[str], inferential_share: float) -> list[float]:
    """Weights under which a share of the draws is inferential.

    Raises:
        UserError: the share asks for a label that no question has.
    """
    counts = Counter(labels)
    shares = {"inferential": inferential_share, "observational": 1 - inferential_share}
    for label, share in shares.items():
        if share > 0 and not counts[label]:
            raise UserError(
                f"sampling 'label' wants a share of {share:g} {label} questions, but the training "
                f"set has none (it has {dict(counts)}); run diagnose or change --inferential-share"
            )
    return [shares.get(label, 0.0) / counts[label] for label in labels]


def read_success(path: Path, questions: Sequence[Question], model: str) -> dict[str, float]:
    """Success by question from the samples of an earlier run of the same model.

    Raises:
        UserError: samples of another model, or a question without samples.
    """
    samples = read_jsonl(path, Sample)
    strangers = {sample.model for sample in samples} - {model}
    if strangers:
        raise UserError(
            f"{path}: holds samples of another model ({min(strangers)[:12]}, not {model[:12]}); "
            "leave --success out to measure this one"
        )
    success = mean_success(samples)
    missing = [question.id for question in questions if question.id not in success]
    if missing:
        raise UserError(
            f"{path}: lacks {len(missing)} of the training questions ({missing[0]!r} first); "
            "leave --success out to measure them"
        )
    return success


def mean_success(samples: Sequence[Sample]) -> dict[str, float]:
    """Share of exactly right answers by question."""
    drawn: dict[str, list[Sample]] = {}
    for sample in samples:
        drawn.setdefault(sample.question_id, []).append(sample)
    return {question_id: average(answers) for question_id, answers in drawn.items()}


def measure_success(
    prompts: Prompts,
    journal: Journal[Sample] | None,
    processes: Processes,
    *,
    at_once: int | None = None,
) -> dict[str, float]:
    """Roll the model out on every training question and record the answers; resumable.

    Args:
        prompts: the bias or the base model, the questions and the settings.
        journal: where the main process records; null in the others.
        processes: they share the work.
        at_once: prompts whose completions are drawn together; null for all of a portion.

    Returns:
        question id -> share of exactly right answers.
    """
    config, questions, model = prompts.config, prompts.data.train, prompts.policy.digest
    known = Counter(sample.question_id for sample in journal.records) if journal else Counter()
    done = processes.say({q for q, seen in known.items() if seen == config.sampling_rollouts})
    if journal:
        journal.keep(lambda sample: sample.question_id in done and sample.model == model)
    pending = [question for question in questions if question.id not in done]
    portion = max(8, config.prompts_per_step) * processes.size
    with console.progress("success", len(questions), done=len(done)) as bar:
        for start in range(0, len(pending), portion):
            chunk = dict(enumerate(pending[start : start + portion]))
            mine = [q for place, q in chunk.items() if processes.mine(place)]
            samples = processes.gather(_answer(prompts, mine, model, at_once))
            if journal:
                order = {question.id: place for place, question in chunk.items()}
                journal.append(*sorted(samples, key=lambda s: (order[s.question_id], s.seed)))
            bar.advance(len(chunk))
    return mean_success(processes.say(journal.records if journal else []))


def _answer(
    prompts: Prompts, questions: Sequence[Question], model: str, at_once: int | None
) -> list[Sample]:
    config, policy = prompts.config, prompts.policy
    sampling = replace(sampling_of(config), num_generations=config.sampling_rollouts)
    seeds = [derive(config.seed, "success", question.id) for question in questions]
    encoded = [prompts.encode(question) for question in questions]
    rolled = generate(policy, encoded, sampling, seeds, at_once=at_once)
    samples: list[Sample] = []
    for question, prompt, group in zip(questions, encoded, rolled, strict=True):
        texts = policy.decode(group)
        for number, (text, cut) in enumerate(zip(texts, group.truncated_G.tolist(), strict=True)):
            samples.append(
                answers.record(
                    question.id,
                    text,
                    answers.parse(text, question.choices, truncated=cut),
                    prompt,
                    model=model,
                    protocol=PROTOCOL,
                    gold=question.answer,
                    seed=number,
                )
            )
    return samples
