"""Words to token ids, exactly as `policy.encode` spells them, with the common prefix apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from videothinker.clevrer.compact import pair_word
from videothinker.clevrer.programs import COLORS
from videothinker.lab.pretraining.dense import PrefixLayout
from videothinker.lab.pretraining.thinking import ASKED, GONE, MOVES, NEVER, NEW, SO, STAYS, YES_NO
from videothinker.models.qwen_vl.policy import QwenVL

ANSWER_WEIGHT = 4.0
"""What the few letters after the thinking weigh, against a word of it: whether a question asks what
happens or what does *not* shows nowhere else. From frames, a descriptive answer's word weighs as
much."""
DECISION_WEIGHT = 2.0
"""From frames: what the words weigh that decide, those that say who moves and by which an answer
is pointed at, and a named collision, also where a choice repeats it: a missed one costs more than
a false one."""
CHANGE_WEIGHT = 3.0
"""From transcripts: what the fate of a pair weighs that the removal changes; most pairs stay."""
DECISIONS = (STAYS, GONE, NEW, NEVER, *YES_NO)
TURN = "<|im_end|>\n<|im_start|>assistant\n"
END = "<|im_end|>"


@dataclass(frozen=True)
class SegmentTokenizer:
    """How prompts of one run are cut into prefix and segment."""

    policy: QwenVL
    layout: PrefixLayout
    prefix_ids: tuple[int, ...]
    """Video tier: everything up to the end of the video. Transcript tier: the chat's beginning."""
    word_weights: Mapping[int, float] = field(default_factory=dict)
    """Token id -> loss weight, where it is not 1."""
    onward_weights: Mapping[int, float] = field(default_factory=dict)
    """Token id -> loss weight, at least, of everything from it to the thinking's end."""
    multiple: int = 8
    """Of which lengths are multiples; on a GPU every length is recorded anew."""

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text on its own."""
        return self.policy.tokenizer(list(texts), add_special_tokens=False)["input_ids"]

    def segments(self, pairs: Sequence[tuple[str, str]]) -> tuple[Tensor, Tensor]:
        """Ids and loss weights `[n, L]` of (words after the prefix, completion) pairs.

        L is the longest, rounded up to a multiple of `multiple`.
        """
        heads = self.ids([f"{words}{TURN}" for words, _ in pairs])
        tails = self.ids([f"{completion}{END}" for _, completion in pairs])
        longest = max(len(a) + len(b) for a, b in zip(heads, tails, strict=True))
        size = -(-longest // self.multiple) * self.multiple
        ids = np.full((len(pairs), size), self.policy.pad_id, dtype=np.int64)
        weights = np.zeros((len(pairs), size), dtype=np.float32)
        for row, (head, tail) in enumerate(zip(heads, tails, strict=True)):
            ids[row, : len(head)] = head
            ids[row, len(head) : len(head) + len(tail)] = tail
            weights[row, len(head) : len(head) + len(tail)] = self._weights(tail)
        return torch.from_numpy(ids), torch.from_numpy(weights)

    def _weights(self, tail: Sequence[int]) -> list[float]:
        """The loss weight of each token of a completion."""
        closes = self.policy.tokenizer.convert_tokens_to_ids("</think>")
        least, found = 1.0, []
        for token in tail:
            least = ANSWER_WEIGHT if token == closes else self.onward_weights.get(token, least)
            found.append(max(least, self.word_weights.get(token, 1.0)))
        return found

    def contexts(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Transcript tier: prefix ids `[B, P]`, right-padded, and their lengths `[B]`."""
        rows = [[*self.prefix_ids, *ids] for ids in self.ids([f"{text}\n" for text in texts])]
        longest = -(-max(map(len, rows)) // self.multiple) * self.multiple
        ids = torch.full((len(rows), longest), self.policy.pad_id)
        for row, one in enumerate(rows):
            ids[row, : len(one)] = torch.tensor(one)
        return ids, torch.tensor([len(one) for one in rows])


def video_tokenizer(
    policy: QwenVL,
    frames_THW3: np.ndarray,
    seconds: float,
    times: Sequence[float] | None = None,
    probe_layer: int = 0,
) -> SegmentTokenizer:
    """For videos of this shape, duration and `times` of the frames; words follow at once."""
    encoded = policy.encode("x", policy.to_video(frames_THW3, seconds, times=times))
    ids = encoded.input_ids_P
    video = encoded.video_P.nonzero().flatten()
    end = int(video[-1]) + 2  # the token that closes the video belongs to the prefix
    places_3P = policy.positions(encoded)
    grid = [int(n) for n in encoded.video.grid_thw[0]]
    layout = PrefixLayout(
        prefix_positions_3P=places_3P[:, :end],
        next_position=int(places_3P[0, end]),
        grid_thw=(grid[0], grid[1], grid[2]),
        video_runs=_runs(video.tolist()),
        probe_layer=probe_layer,
    )
    pairs = [pair_word(a, b) for a in COLORS for b in COLORS if a < b]
    return SegmentTokenizer(
        policy,
        layout,
        tuple(ids[:end].tolist()),
        dict.fromkeys(_single(policy, [*pairs, *DECISIONS]), DECISION_WEIGHT),
        dict.fromkeys(
            _single(policy, [word.rstrip(":") for word in (MOVES, ASKED)]), DECISION_WEIGHT
        )
        | dict.fromkeys(_single(policy, [SO]), ANSWER_WEIGHT),
    )


def text_tokenizer(policy: QwenVL, longest: int = 1024) -> SegmentTokenizer:
    """For prompts that begin with a transcript; `longest` bounds chat beginning and transcript."""
    text = policy.tokenizer.apply_chat_template(
        [{"role": "user", "content": "x"}], tokenize=False, add_generation_prompt=False
    )
    head = policy.tokenizer(text.partition("x<|im_end|>")[0], add_special_tokens=False)["input_ids"]
    places_3P = torch.arange(longest).expand(3, -1)
    weights = dict.fromkeys(_single(policy, (GONE, NEW, *YES_NO)), CHANGE_WEIGHT)
    return SegmentTokenizer(policy, PrefixLayout(places_3P, longest), tuple(head), weights)


def _single(policy: QwenVL, words: Sequence[str]) -> list[int]:
    """The ids of those words, after a space, that are one token; others keep their weight."""
    spelt = policy.tokenizer([f" {w}" for w in words], add_special_tokens=False)["input_ids"]
    return [ids[0] for ids in spelt if len(ids) == 1]


def _runs(places: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Beginning and end of what follows each other: 3 4 5 9 10 -> (3, 6), (9, 11)."""
    cuts = [n for n in range(1, len(places)) if places[n] != places[n - 1] + 1]
    bounds = pairwise([0, *cuts, len(places)])
    return tuple((places[first], places[last - 1] + 1) for first, last in bounds)
