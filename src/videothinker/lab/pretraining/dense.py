"""The training forward of a small Qwen-VL, fast on a CPU: equal layouts, explicit attention.

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
from transformers.models.qwen2_vl.modeling_qwen2_vl import VisionMlp
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextAttention
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
    """What every item of a run shares: where the video stands and the rotary positions."""

    prefix_positions_3P: Tensor
    next_position: int
    """Rotary position of the first token after a full prefix."""
    grid_thw: tuple[int, int, int] | None = None
    video_start: int = 0
    video_tokens: int = 0
    probe_layer: int = 0
    """Layers below the state that is asked about the video tokens; 0 for all."""

    def to(self, device: torch.device) -> "PrefixLayout":
        """The same on a device."""
        return replace(self, prefix_positions_3P=self.prefix_positions_3P.to(device))


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin


def _norm(module: Any, x: Tensor) -> Tensor:
    if isinstance(module, nn.LayerNorm):  # Qwen2-VL's tower
        shape, weight, bias = module.normalized_shape, module.weight, module.bias
        return F.layer_norm(x, shape, weight.to(x.dtype), bias.to(x.dtype), module.eps)
    return F.rms_norm(x, module.weight.shape, module.weight.to(x.dtype), module.variance_epsilon)


def _bare(x: Tensor) -> Tensor:
    return F.rms_norm(x, x.shape[-1:])


def _mlp(module: Any, x: Tensor) -> Tensor:
    if isinstance(module, VisionMlp):
        return module(x)
    return module.down_proj(F.silu(module.gate_proj(x)) * module.up_proj(x))


@cache
def _places(grid_thw: tuple[int, int, int], merge: int, device: torch.device) -> Tensor:
    return get_vision_position_ids(torch.tensor([grid_thw]), merge).to(device)


def vision_tokens(visual: Any, pixels_BNF: Tensor, grid_thw: tuple[int, int, int]) -> Tensor:
    """Merged video tokens `B M D` of videos that share one grid (full attention within a slot).

    Assumes every block attends to its whole temporal slot (`fullatt_block_indexes` names them all).
    """
    batch, patches, _ = pixels_BNF.shape
    slots = grid_thw[0]
    per_slot = patches // slots
    positions = _places(grid_thw, visual.spatial_merge_size, pixels_BNF.device)[:per_slot]
    cos, sin = visual.rotary_pos_emb(pixels_BNF, positions)  # the same in every slot
    weight = visual.patch_embed.proj.weight.flatten(1)
    x = F.linear(pixels_BNF, weight).view(batch * slots, per_slot, -1)
    for block in visual.blocks:
        attention = block.attn
        heads = attention.num_heads
        qkv = attention.qkv(_norm(block.norm1, x))
        q, k, v = qkv.view(batch * slots, per_slot, 3, heads, -1).permute(2, 0, 3, 1, 4)
        cos_, sin_ = cos.to(q.dtype), sin.to(q.dtype)
        q, k = _rotate(q, cos_, sin_), _rotate(k, cos_, sin_)
        scores = torch.softmax(q @ k.transpose(-1, -2) * attention.scaling, dim=-1)
        mixed = (scores.to(v.dtype) @ v).transpose(1, 2).reshape(batch * slots, per_slot, -1)
        x = x + attention.proj(mixed)
        x = x + _mlp(block.mlp, _norm(block.norm2, x))
    merger = visual.merger
    merged = _norm(merger.ln_q, x).view(batch, -1, merger.hidden_size)
    return merger.mlp(merged)


def _heads(x: Tensor, head_dim: int) -> Tensor:
    return x.unflatten(-1, (-1, head_dim))


def _project(attention: Any, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Turned queries and keys, and values, `... heads d`."""
    hd, groups = attention.head_dim, attention.num_key_value_groups
    q, k = _heads(attention.q_proj(x), hd), _heads(attention.k_proj(x), hd)
    if isinstance(attention, Qwen3VLTextAttention):
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


def _prefix(model: Any, batch: DenseBatch, layout: PrefixLayout) -> tuple[Tensor, Tensor | None]:
    """Embedded prefix `B P D`, and the tower's tokens `B M D` in it."""
    prefix = model.model.language_model.embed_tokens(batch.prefix_ids_BP)
    if batch.pixels_BNF is None or layout.grid_thw is None:
        return prefix, None
    seen = vision_tokens(model.model.visual, batch.pixels_BNF, layout.grid_thw)
    end = layout.video_start + layout.video_tokens
    parts = (prefix[:, : layout.video_start], seen.to(prefix.dtype), prefix[:, end:])
    return torch.cat(parts, 1), seen


def video_states(model: Any, batch: DenseBatch, layout: PrefixLayout) -> tuple[Tensor, Tensor]:
    """The tower's tokens and the states at them after `probe_layer` layers, `B M D`; no words."""
    language = model.model.language_model
    prefix, seen = _prefix(model, batch, layout)
    assert seen is not None
    end = layout.video_start + layout.video_tokens
    prefix = prefix[:, :end]
    rotary = language.rotary_emb(prefix, layout.prefix_positions_3P[:, None, :end])
    cos, sin = (t[:, :, None] for t in rotary)
    causal = torch.ones(end, end, dtype=torch.bool, device=prefix.device).triu(1)
    for layer in language.layers[: layout.probe_layer or None]:
        prefix = prefix + _own(layer, _norm(layer.input_layernorm, prefix), cos, sin, causal)
        prefix = prefix + _mlp(layer.mlp, _norm(layer.post_attention_layernorm, prefix))
    return seen, _bare(prefix[:, layout.video_start :])


def forward(
    model: Any, batch: DenseBatch, layout: PrefixLayout
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Final hidden states of the segments `B K L D`, the tower's tokens `B M D`, and the states at
    the video tokens after `probe_layer` layers `B M D`.

    Args:
        model: a Qwen2.5-VL or Qwen2-VL, or a Qwen3-VL that is shown no video.
        batch: the items.
        layout: what they share.
    """
    language = model.model.language_model
    prefix, seen = _prefix(model, batch, layout)
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
    probed = prefix
    for number, layer in enumerate(language.layers, start=1):
        norm = layer.input_layernorm
        out_p, out_s = _attend(layer, _norm(norm, prefix), _norm(norm, segments), rotary, mask)
        prefix, segments = prefix + out_p, segments + out_s
        norm = layer.post_attention_layernorm
        prefix = prefix + _mlp(layer.mlp, _norm(norm, prefix))
        segments = segments + _mlp(layer.mlp, _norm(norm, segments))
        if number == (layout.probe_layer or len(language.layers)):
            probed = prefix[:, layout.video_start : layout.video_start + layout.video_tokens]
    return _norm(language.norm, segments), seen, _bare(probed)


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
