"""The training forward of a small Qwen2.5-VL, fast on a CPU: equal layouts, explicit attention.

transformers runs the vision tower's attention one temporal slot at a time and reads a video again
for every question about it. Here all videos of a batch share one layout, so that the tower is a few
large matrix products, and the K questions about an item read its prefix (video or transcript) once.
The weights are the model's own; a test holds this forward to transformers' own logits.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
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
class Layout:
    """What every item of a run shares: where the video stands and the rotary positions."""

    prefix_positions_3P: Tensor
    next_position: int
    """Rotary position of the first token after a full prefix."""
    grid_thw: tuple[int, int, int] | None = None
    video_start: int = 0
    video_tokens: int = 0


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin


def _norm(module: Any, x: Tensor) -> Tensor:
    return F.rms_norm(x, module.weight.shape, module.weight.to(x.dtype), module.variance_epsilon)


def _mlp(module: Any, x: Tensor) -> Tensor:
    return module.down_proj(F.silu(module.gate_proj(x)) * module.up_proj(x))


def tower(visual: Any, pixels_BNF: Tensor, grid_thw: tuple[int, int, int]) -> Tensor:
    """Merged video tokens `B M D` of videos that share one grid (full attention within a slot).

    Assumes every block attends to its whole temporal slot (`fullatt_block_indexes` names them all).
    """
    batch, patches, _ = pixels_BNF.shape
    slots = grid_thw[0]
    per_slot = patches // slots
    grid = torch.tensor([grid_thw])
    positions = get_vision_position_ids(grid, visual.spatial_merge_size)[:per_slot]
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


def _attend(layer: Any, prefix: Tensor, segments: Tensor, rotary: Any, mask_BP: Tensor) -> Any:
    """Attention of one layer: the prefix on itself; each segment on the prefix and itself."""
    attention = layer.self_attn
    (cos_p, sin_p), (cos_s, sin_s) = rotary
    batch, P, _ = prefix.shape
    K, L = segments.shape[1:3]
    hd, groups = attention.head_dim, attention.num_key_value_groups

    def project(x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q = _rotate(_heads(attention.q_proj(x), hd), cos, sin)
        k = _rotate(_heads(attention.k_proj(x), hd), cos, sin).repeat_interleave(groups, -2)
        return q, k, _heads(attention.v_proj(x), hd).repeat_interleave(groups, -2)

    q, kp, vp = (t.transpose(1, 2) for t in project(prefix, cos_p, sin_p))  # B H P d
    causal = torch.ones(P, P, dtype=torch.bool).triu(1)
    scores = (q @ kp.transpose(-1, -2) * attention.scaling).masked_fill(causal, -1e9)
    out_p = (torch.softmax(scores, -1).to(vp.dtype) @ vp).transpose(1, 2).reshape(batch, P, -1)

    qs, ks, vs = (t.transpose(2, 3) for t in project(segments, cos_s, sin_s))  # B K H L d
    H = qs.shape[2]
    flat = qs.transpose(1, 2).reshape(batch, H, K * L, hd)
    far = flat @ kp.transpose(-1, -2) * attention.scaling + mask_BP[:, None, None, :]
    far = far.view(batch, H, K, L, P).transpose(1, 2)
    own = torch.ones(L, L, dtype=torch.bool).triu(1)
    near = (qs @ ks.transpose(-1, -2) * attention.scaling).masked_fill(own, -1e9)
    weights = torch.softmax(torch.cat((far, near), -1), -1).to(vs.dtype)
    from_prefix = weights[..., :P].transpose(1, 2).reshape(batch, H, K * L, P) @ vp
    out = from_prefix.view(batch, H, K, L, hd).transpose(1, 2) + weights[..., P:] @ vs
    out_s = out.transpose(2, 3).reshape(batch, K, L, -1)
    return attention.o_proj(out_p), attention.o_proj(out_s)


def forward(model: Any, batch: DenseBatch, layout: Layout) -> tuple[Tensor, Tensor | None, Tensor]:
    """Final hidden states of the segments `B K L D`, the tower's tokens `B M D`, and the prefix's.

    Args:
        model: a `Qwen2_5_VLForConditionalGeneration`.
        batch: the items.
        layout: what they share.
    """
    language = model.model.language_model
    prefix = language.embed_tokens(batch.prefix_ids_BP)
    seen = None
    if batch.pixels_BNF is not None and layout.grid_thw is not None:
        seen = tower(model.model.visual, batch.pixels_BNF, layout.grid_thw)
        end = layout.video_start + layout.video_tokens
        prefix = torch.cat(
            (prefix[:, : layout.video_start], seen.to(prefix.dtype), prefix[:, end:]), 1
        )
    segments = language.embed_tokens(batch.segment_ids_BKL)
    size, P = batch.prefix_ids_BP.shape
    L = batch.segment_ids_BKL.shape[-1]
    missing_B = layout.prefix_positions_3P.shape[1] - batch.prefix_lengths_B
    starts_B = layout.next_position - missing_B
    rotary_p = language.rotary_emb(prefix, layout.prefix_positions_3P[:, None, :P])
    positions = (starts_B[:, None] + torch.arange(L)).expand(3, -1, -1)
    rotary_s = language.rotary_emb(segments, positions)
    rotary = (
        tuple(t[:, :, None] for t in rotary_p),  # 1 P 1 d
        tuple(t[:, None, :, None] for t in rotary_s),  # B 1 L 1 d
    )
    outside = torch.arange(P) >= batch.prefix_lengths_B[:, None]
    mask_BP = torch.zeros(size, P).masked_fill(outside, -1e9)
    for layer in language.layers:
        norm = layer.input_layernorm
        out_p, out_s = _attend(layer, _norm(norm, prefix), _norm(norm, segments), rotary, mask_BP)
        prefix, segments = prefix + out_p, segments + out_s
        norm = layer.post_attention_layernorm
        prefix = prefix + _mlp(layer.mlp, _norm(norm, prefix))
        segments = segments + _mlp(layer.mlp, _norm(norm, segments))
    return _norm(language.norm, segments), seen, _norm(language.norm, prefix)


def losses(model: Any, hidden_BKLD: Tensor, batch: DenseBatch) -> tuple[Tensor, Tensor]:
    """Weighted cross-entropy of the segments' target tokens, and their share guessed right.

    Assumes that the first token of a segment is never a target (a question stands before it).
    """
    wanted = batch.weights_BKL[..., 1:] > 0
    if not wanted.any():
        return hidden_BKLD.new_zeros(()), hidden_BKLD.new_zeros(())
    hidden = hidden_BKLD[..., :-1, :][wanted]
    targets = batch.segment_ids_BKL[..., 1:][wanted]
    weights = batch.weights_BKL[..., 1:][wanted]
    logits = model.lm_head(hidden).float()
    each = F.cross_entropy(logits, targets, reduction="none")
    right = (logits.detach().argmax(-1) == targets).float().mean()
    return (each * weights).sum() / weights.sum(), right
