"""The training forward of a small Qwen-VL, fast on a CPU: equal layouts, explicit attention.

Where a video's tokens stand comes from the model's own `encode` and `positions`; what of its tower
the decoder takes, and how a norm or an MLP computes, from the parts that its modules have.
transformers runs the vision tower's attention one temporal slot at a time and reads a video again
for every question about it. Here all videos of a batch share one layout, so that the tower is a few
large matrix products, and the K questions about an item read its prefix (video or transcript) once.
The weights are the model's own; a test holds this forward to transformers' own logits.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers.vision_utils import get_vision_position_ids


@dataclass(frozen=True)
class DenseBatch:
    """B items, each a prefix of up to P tokens and K segments of up to L tokens that follow it."""

    prefix_ids_BP: Tensor
    prefix_lengths_B: Tensor
    segment_ids_BKL: Tensor
    weights_BKL: Tensor
    """Loss weight of each segment token as a *target*; 0 on questions and padding."""
    pixels_BNF: Tensor | None = None
    """Patches of each item's video, in the processor's order; null in the transcript tier."""


@dataclass(frozen=True)
class PrefixLayout:
    """What every item of a run shares: where its video stands and the rotary positions."""

    prefix_positions_3P: Tensor
    next_position: int
    """Rotary position of the first token after a full prefix."""
    grid_thw: tuple[int, int, int] | None = None
    video_runs: tuple[tuple[int, int], ...] = ()
    """Beginning and end of each run of video tokens: one, or one a slot with its time before it."""
    probe_layer: int = 0
    """Layers below the state that is asked about the video tokens; 0 for all."""

    def to(self, device: torch.device) -> "PrefixLayout":
        """The same on a device."""
        return replace(self, prefix_positions_3P=self.prefix_positions_3P.to(device))


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin


def _part(module: nn.Module, name: str) -> Any:
    """A part that only some families' modules have, or None."""
    return dict(module.named_children()).get(name)


def _norm(module: Any, x: Tensor) -> Tensor:
    if isinstance(module, nn.LayerNorm):
        shape, weight, bias = module.normalized_shape, module.weight, module.bias
        return F.layer_norm(x, shape, weight.to(x.dtype), bias.to(x.dtype), module.eps)
    return F.rms_norm(x, module.weight.shape, module.weight.to(x.dtype), module.variance_epsilon)


def _bare(x: Tensor) -> Tensor:
    return F.rms_norm(x, x.shape[-1:])


def _mlp(module: Any, x: Tensor) -> Tensor:
    if _part(module, "gate_proj") is None:
        return module(x)
    return module.down_proj(F.silu(module.gate_proj(x)) * module.up_proj(x))


@cache
def _places(grid_thw: tuple[int, int, int], merge: int, device: torch.device) -> Tensor:
    return get_vision_position_ids(torch.tensor([grid_thw]), merge).to(device)


def vision_features(
    visual: Any, pixels_BNF: Tensor, grid_thw: tuple[int, int, int]
) -> list[Tensor]:
    """Merged video tokens of videos that share one grid, and what is added to them after each of
    the first decoder layers (DeepStack; elsewhere nothing): `B M D` each.

    Assumes every block attends to its whole temporal slot (`fullatt_block_indexes` names them all).
    """
    batch, patches, _ = pixels_BNF.shape
    slots = grid_thw[0]
    per_slot = patches // slots
    places = _places(grid_thw, visual.spatial_merge_size, pixels_BNF.device)[:per_slot]
    cos, sin = visual.rotary_pos_emb(pixels_BNF, places)  # the same in every slot
    embed = visual.patch_embed.proj
    x = F.linear(pixels_BNF, embed.weight.flatten(1), embed.bias)
    x = x.view(batch * slots, per_slot, -1)
    table = _part(visual, "pos_embed")
    if table is not None:
        x = x + _table_positions(table, places, grid_thw[1:]).to(x.dtype)
    deeper = _part(visual, "deepstack_merger_list")
    tapped = (
        {} if deeper is None else dict(zip(visual.deepstack_visual_indexes, deeper, strict=True))
    )
    added = []
    for number, block in enumerate(visual.blocks):
        x = _vision_block(block, x, cos, sin)
        if number in tapped:
            added.append(_merge(tapped[number], x, batch))
    return [_merge(visual.merger, x, batch), *added]


def _vision_block(block: Any, x_SND: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """One block over S slots of N patches, each of which sees its own slot."""
    attention = block.attn
    size = x_SND.shape[:2]
    qkv = attention.qkv(_norm(block.norm1, x_SND))
    q, k, v = qkv.view(*size, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    cos, sin = cos.to(q.dtype), sin.to(q.dtype)
    q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
    scores = torch.softmax(q @ k.transpose(-1, -2) * attention.scaling, dim=-1)
    mixed = (scores.to(v.dtype) @ v).transpose(1, 2).reshape(*size, -1)
    x = x_SND + attention.proj(mixed)
    return x + _mlp(block.mlp, _norm(block.norm2, x))


def _table_positions(table: Any, places_N2: Tensor, sides: tuple[int, int]) -> Tensor:
    """Learned positions `N D`: the square `table` read between its points, corners on corners."""
    side = int(table.num_embeddings**0.5)
    taps, shares = [], []
    for place_N, size in zip(places_N2.T, sides, strict=True):
        at = place_N.float() * (side - 1) / max(size - 1, 1)
        low = at.floor()
        taps.append(torch.stack([low, (low + 1).clamp(max=side - 1)]).long())
        shares.append(torch.stack([1 - (at - low), at - low]))
    index_22N = taps[0][:, None] * side + taps[1][None]
    share_22N = shares[0][:, None] * shares[1][None]
    return (table(index_22N) * share_22N[..., None]).sum((0, 1))


def _merge(merger: Any, x_SND: Tensor, batch: int) -> Tensor:
    """Neighbouring patches as one token, `B M D`."""
    norm = _part(merger, "ln_q")
    if norm is None:
        return merger(x_SND).unflatten(0, (batch, -1))
    return merger.mlp(_norm(norm, x_SND).view(batch, -1, merger.hidden_size))


def _heads(x: Tensor, head_dim: int) -> Tensor:
    return x.unflatten(-1, (-1, head_dim))


def _project(attention: Any, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotated queries and keys, and values, `... heads d`."""
    hd, groups = attention.head_dim, attention.num_key_value_groups
    q, k = _heads(attention.q_proj(x), hd), _heads(attention.k_proj(x), hd)
    if _part(attention, "q_norm") is not None:
        q, k = _norm(attention.q_norm, q), _norm(attention.k_norm, k)
    q, k = _rotate(q, cos, sin), _rotate(k, cos, sin).repeat_interleave(groups, -2)
    return q, k, _heads(attention.v_proj(x), hd).repeat_interleave(groups, -2)


def _mix(attention: Any, q: Tensor, k: Tensor, v: Tensor, causal: Tensor) -> Tensor:
    """Causal attention of `B H P d` on itself, `B P D`."""
    scores = (q @ k.transpose(-1, -2) * attention.scaling).masked_fill(causal, -1e9)
    return (torch.softmax(scores, -1).to(v.dtype) @ v).transpose(1, 2).flatten(2)


def _own(layer: Any, x_BPD: Tensor, cos: Tensor, sin: Tensor, causal: Tensor) -> Tensor:
    """Attention of one layer where there is nothing but the prefix."""
    attention = layer.self_attn
    q, k, v = (t.transpose(1, 2) for t in _project(attention, x_BPD, cos, sin))
    return attention.o_proj(_mix(attention, q, k, v, causal))


def _attend(layer: Any, prefix: Tensor, segments: Tensor, rotary: Any, mask: Tensor) -> Any:
    """Attention of one layer: the prefix on itself; each segment on the prefix and itself.

    `mask` is true, `B 1 1 L P+L`, where a segment's token must not look.
    """
    attention = layer.self_attn
    (cos_p, sin_p), (cos_s, sin_s) = rotary
    P, K = prefix.shape[1], segments.shape[1]
    q, kp, vp = (t.transpose(1, 2) for t in _project(attention, prefix, cos_p, sin_p))  # B H P d
    causal = torch.ones(P, P, dtype=torch.bool, device=prefix.device).triu(1)
    out_p = _mix(attention, q, kp, vp, causal)

    turned = _project(attention, segments, cos_s, sin_s)
    qs, ks, vs = (t.transpose(2, 3).to(vp.dtype) for t in turned)  # B K H L d
    keys, values = (
        torch.cat((far.to(near.dtype)[:, None].expand(-1, K, -1, -1, -1), near), -2)
        for far, near in ((kp, ks), (vp, vs))
    )
    scores = (qs * attention.scaling @ keys.transpose(-1, -2)).masked_fill(mask, -1e9)
    with torch.autocast(
        scores.device.type, enabled=False
    ):  # its float32 would double the largest tensor
        weights = torch.softmax(scores, -1)
    out_s = (weights @ values).transpose(2, 3).flatten(3)
    return attention.o_proj(out_p), attention.o_proj(out_s)


def _placed(prefix_BPD: Tensor, video_BMD: Tensor, layout: PrefixLayout) -> Tensor:
    """The prefix with the video's tokens in their places."""
    parts, end, done = [], 0, 0
    for first, last in layout.video_runs:
        parts += [prefix_BPD[:, end:first], video_BMD[:, done : done + last - first]]
        done, end = done + last - first, last
    return torch.cat([*parts, prefix_BPD[:, end:]], 1)


def _at_video(prefix_BPD: Tensor, layout: PrefixLayout) -> Tensor:
    """What stands in the video's places, `B M D`."""
    return torch.cat([prefix_BPD[:, first:last] for first, last in layout.video_runs], 1)


def _prefix(model: Any, batch: DenseBatch, layout: PrefixLayout) -> tuple[Tensor, list[Tensor]]:
    """Embedded prefix `B P D`, and what the tower gives for it; nothing without a video."""
    prefix = model.model.language_model.embed_tokens(batch.prefix_ids_BP)
    if batch.pixels_BNF is None or layout.grid_thw is None:
        return prefix, []
    features = vision_features(model.model.visual, batch.pixels_BNF, layout.grid_thw)
    return _placed(prefix, features[0].to(prefix.dtype), layout), features


def _deeper(prefix: Tensor, number: int, features: list[Tensor], layout: PrefixLayout) -> Tensor:
    """DeepStack: the states after layer `number`, from 1, with features of the tower added."""
    if number >= len(features):
        return prefix
    added = features[number].to(prefix.dtype)
    return prefix + _placed(torch.zeros_like(prefix), added, layout)


def video_states(model: Any, batch: DenseBatch, layout: PrefixLayout) -> tuple[Tensor, Tensor]:
    """The tower's tokens and the states at them after `probe_layer` layers, `B M D`; no words."""
    language = model.model.language_model
    prefix, features = _prefix(model, batch, layout)
    end = layout.video_runs[-1][1]
    prefix = prefix[:, :end]
    rotary = language.rotary_emb(prefix, layout.prefix_positions_3P[:, None, :end])
    cos, sin = (t[:, :, None] for t in rotary)
    causal = torch.ones(end, end, dtype=torch.bool, device=prefix.device).triu(1)
    for number, layer in enumerate(language.layers[: layout.probe_layer or None], start=1):
        prefix = prefix + _own(layer, _norm(layer.input_layernorm, prefix), cos, sin, causal)
        prefix = prefix + _mlp(layer.mlp, _norm(layer.post_attention_layernorm, prefix))
        prefix = _deeper(prefix, number, features, layout)
    return features[0], _bare(_at_video(prefix, layout))


def forward(
    model: Any, batch: DenseBatch, layout: PrefixLayout
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Final hidden states of the segments `B K L D`, the tower's tokens `B M D`, and the states at
    the video tokens after `probe_layer` layers `B M D`; the last two are None without a video.

    Args:
        model: of the Qwen-VL line.
        batch: the items.
        layout: what they share.
    """
    language = model.model.language_model
    prefix, features = _prefix(model, batch, layout)
    segments = language.embed_tokens(batch.segment_ids_BKL)
    size, P = batch.prefix_ids_BP.shape
    device = prefix.device
    L = batch.segment_ids_BKL.shape[-1]
    missing_B = layout.prefix_positions_3P.shape[1] - batch.prefix_lengths_B
    starts_B = layout.next_position - missing_B
    rotary_p = language.rotary_emb(prefix, layout.prefix_positions_3P[:, None, :P])
    positions = (starts_B[:, None] + torch.arange(L, device=device)).expand(3, -1, -1)
    rotary_s = language.rotary_emb(segments, positions)
    rotary = (
        tuple(t[:, :, None] for t in rotary_p),  # 1 P 1 d
        tuple(t[:, None, :, None] for t in rotary_s),  # B 1 L 1 d
    )
    outside_BP = torch.arange(P, device=device) >= batch.prefix_lengths_B[:, None]
    later_LL = torch.ones(L, L, dtype=torch.bool, device=device).triu(1)
    mask = torch.cat((outside_BP[:, None].expand(-1, L, -1), later_LL.expand(size, -1, -1)), -1)
    mask = mask[:, None, None]
    probed = None
    for number, layer in enumerate(language.layers, start=1):
        norm = layer.input_layernorm
        out_p, out_s = _attend(layer, _norm(norm, prefix), _norm(norm, segments), rotary, mask)
        prefix, segments = prefix + out_p, segments + out_s
        norm = layer.post_attention_layernorm
        prefix = prefix + _mlp(layer.mlp, _norm(norm, prefix))
        segments = segments + _mlp(layer.mlp, _norm(norm, segments))
        prefix = _deeper(prefix, number, features, layout)
        if features and number == (layout.probe_layer or len(language.layers)):
            probed = _bare(_at_video(prefix, layout))
    return _norm(language.norm, segments), features[0] if features else None, probed


def losses(model: Any, hidden_BKLD: Tensor, batch: DenseBatch) -> tuple[Tensor, Tensor]:
    """Weighted cross-entropy of the segments' target tokens, and their share guessed right.

    Assumes that the first token of a segment is never a target (a question stands before it).
    """
    hidden, targets, weights = (
        hidden_BKLD[..., :-1, :].flatten(0, 2),
        batch.segment_ids_BKL[..., 1:].flatten(),
        batch.weights_BKL[..., 1:].flatten(),
    )
    wanted = weights > 0
    if not hidden.is_cuda:  # there it would be a size that depends on the content
        hidden, targets, weights = hidden[wanted], targets[wanted], weights[wanted]
        wanted = wanted[wanted]
    logits = model.lm_head(hidden).float()
    each = F.cross_entropy(logits, targets, reduction="none")
    right = (logits.detach().argmax(-1) == targets) & wanted
    return (each * weights).sum() / weights.sum(), right.sum() / wanted.sum()
