"""One token a row through a decoder of Llama's form, in as few kernels as it takes.

The library's own forward is made for any length and for training: some 55 kernels a layer, most of
them for a handful of numbers. Here queries, keys and values are one product, gate and up another,
and what stands between two products is one function, which `torch.compile` makes one kernel where
it can. An adapter may be merged into a copy of the matrices, for the library's forward over prompts
as well. All is undone after the rollout.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import linear, silu

from videothinker.errors import UserError
from videothinker.generation.graphs import Fuse
from videothinker.models.adapters import is_adapted, merged_as, merged_weight
from videothinker.models.loaded import PrefixPolicy

Product = Callable[[Tensor], Tensor]


@dataclass(eq=False)
class Heads:
    """How one layer's product `[A, (H + 2 K) d]` becomes queries, keys and values."""

    shared: int
    """Key heads, K."""
    width: int
    scaling: float
    epsilon: float
    query_norm_d: Tensor | None
    """Weight of a norm of every query head (Qwen3), or None."""
    key_norm_d: Tensor | None


@dataclass(eq=False)
class Layer:
    """The weights of one layer, as the step wants them."""

    before_D: Tensor
    """Weight of the norm before attention; `after_D` of that before the MLP."""
    after_D: Tensor
    epsilon: float
    heads: Heads
    attention: Product
    mixed: Product
    gated: Product
    down: Product


class Cache(Protocol):
    """Keys and values of the rows so far."""

    def step(self, layer: int, packed_AQ: Tensor, heads: Heads, rotation_2A2d: Tensor) -> Tensor:
        """Write each row's new key and value; the attention's output `[A, H d]`."""
        ...


class Decoder:
    """The language model of a policy over one new token a row; made by `decoder_of`."""

    def __init__(self, policy: PrefixPolicy, layers: Sequence[Layer], fuse: Fuse) -> None:
        self.policy, self.layers, self.fuse = policy, layers, fuse
        self.embed = policy.model.get_input_embeddings()
        self.norm_D = policy.decoder.norm.weight.detach()
        self.head_VD = policy.head_VD.detach()

    @property
    def kind(self) -> Hashable:
        """What decides its kernels for one and the same model."""
        return self.fuse, self.policy.adapter, self.policy.merges

    def rotations(self, places_XRC: Tensor) -> Tensor:
        """Cosine and sine `[2, R, C, 2, d]` of every position a row may come to.

        For queries and keys, then for values: 1 and 0, which leave them as they are. The sine has
        the sign that the rotation gives the half of a head it is multiplied with.
        """
        like = self.embed.weight[:1]
        cosine_RCd, sine_RCd = self.policy.decoder.rotary_emb(like, places_XRC)
        sign_d = torch.ones_like(sine_RCd[0, 0])
        sign_d[: len(sign_d) // 2] = -1
        own = torch.stack([cosine_RCd, sine_RCd * sign_d])
        left = torch.stack([torch.ones_like(cosine_RCd), torch.zeros_like(sine_RCd)])
        return torch.stack([own, left], dim=3)

    def logits(self, tokens_A: Tensor, rotation_2A2d: Tensor, cache: Cache) -> Tensor:
        """Logits `[A, V]` of the token after `tokens_A`."""
        add_and_norm, gate = self.fuse(added_norm), self.fuse(gated)
        stream_AD = self.embed(tokens_A)
        normed_AD = self.fuse(norm)(stream_AD, self.layers[0].before_D, self.layers[0].epsilon)
        following = [(layer.before_D, layer.epsilon) for layer in self.layers[1:]]
        following.append((self.norm_D, self.layers[-1].epsilon))
        for number, (layer, (next_D, epsilon)) in enumerate(
            zip(self.layers, following, strict=True)
        ):
            mixed_AE = cache.step(number, layer.attention(normed_AD), layer.heads, rotation_2A2d)
            stream_AD, normed_AD = add_and_norm(
                stream_AD, layer.mixed(mixed_AE), layer.after_D, layer.epsilon
            )
            product_AD = layer.down(gate(layer.gated(normed_AD)))
            stream_AD, normed_AD = add_and_norm(stream_AD, product_AD, next_D, epsilon)
        return linear(normed_AD, self.head_VD)


def norm(states: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Root mean square norm, in float32 as the library's."""
    wide = states.float()
    scaled = wide * torch.rsqrt(wide.pow(2).mean(dim=-1, keepdim=True) + epsilon)
    return weight * scaled.to(states.dtype)


def added_norm(
    stream_AD: Tensor, added_AD: Tensor, weight_D: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """The residual stream after an addition, and its norm."""
    stream_AD = stream_AD + added_AD
    return stream_AD, norm(stream_AD, weight_D, epsilon)


def gated(product_A2I: Tensor) -> Tensor:
    """The MLP's product of gate and up."""
    gate_AI, up_AI = product_A2I.chunk(2, dim=-1)
    return silu(gate_AI) * up_AI


def rotated(packed_AQ: Tensor, heads: Heads, rotation_2A2d: Tensor) -> tuple[Tensor, Tensor]:
    """Queries `[A, H, d]`, and keys beside values `[A, 2, K, d]`, normed and at their positions.

    Written without a concatenation, which the compiler would make a kernel of its own.
    """
    packed_AJd = packed_AQ.unflatten(-1, (-1, heads.width))
    query, both = packed_AJd.tensor_split([packed_AJd.shape[1] - 2 * heads.shared], dim=1)
    both = both.unflatten(1, (2, heads.shared))
    if heads.query_norm_d is not None and heads.key_norm_d is not None:
        query = norm(query, heads.query_norm_d, heads.epsilon)
        is_key = torch.arange(2, device=both.device)[:, None, None] == 0
        both = torch.where(is_key, norm(both, heads.key_norm_d, heads.epsilon), both)
    rotation_2A21d = rotation_2A2d[..., None, :]
    return _rotate(query, rotation_2A21d[:, :, 0]), _rotate(both, rotation_2A21d)


def _rotate(states: Tensor, rotation: Tensor) -> Tensor:
    cosine, sine = rotation
    return states * cosine + states.roll(states.shape[-1] // 2, dims=-1) * sine


@contextmanager
def decoder_of(policy: PrefixPolicy, fuse: Fuse, *, join: bool) -> Iterator[Decoder]:
    """Inside, a decoder of the policy's weights as they are now.

    Where the policy `merges`, its own forward computes with the merged weights meanwhile.

    Args:
        policy: what decodes.
        fuse: makes a function one kernel, or leaves it.
        join: let matrices that meet the same input lie side by side. The model's own weights become
            views of them meanwhile, so that no byte is there twice, and are put back to the bit.

    Raises:
        UserError: the layers are of another form.
    """
    act = policy.decoder.config.hidden_act
    if act != "silu":
        raise UserError(f"a decoder with the activation {act!r} came; only 'silu' is decoded here")
    with ExitStack() as undo:
        layers = [_layer(policy, layer, undo, join=join) for layer in policy.decoder.layers]
        yield Decoder(policy, layers, fuse)


def _layer(policy: PrefixPolicy, layer: Any, undo: ExitStack, *, join: bool) -> Layer:
    attention, mlp = layer.self_attn, layer.mlp
    queries, keys, values = attention.q_proj, attention.k_proj, attention.v_proj

    def product(*modules: Any) -> Product:
        return _product(policy, modules, undo, join=join)

    parts = dict(attention.named_children())
    norms = [
        parts[name].weight.detach() if name in parts else None for name in ("q_norm", "k_norm")
    ]
    epsilon = layer.input_layernorm.variance_epsilon
    return Layer(
        before_D=layer.input_layernorm.weight.detach(),
        after_D=layer.post_attention_layernorm.weight.detach(),
        epsilon=epsilon,
        heads=Heads(
            shared=keys.out_features // attention.head_dim,
            width=attention.head_dim,
            scaling=attention.scaling,
            epsilon=epsilon,
            query_norm_d=norms[0],
            key_norm_d=norms[1],
        ),
        attention=product(queries, keys, values),
        mixed=product(attention.o_proj),
        gated=product(mlp.gate_proj, mlp.up_proj),
        down=product(mlp.down_proj),
    )


def _product(
    policy: PrefixPolicy, modules: Sequence[Any], undo: ExitStack, *, join: bool
) -> Product:
    """What `modules` make of the same input, side by side."""
    name = policy.adapter
    adapted = [module for module in modules if is_adapted(module, name)]
    merges = bool(adapted) and policy.merges
    if not merges and (adapted or not join or len(modules) == 1):
        return modules[0] if len(modules) == 1 else partial(_side_by_side, modules)
    weights = [merged_weight(module, name) for module in modules]
    weight = weights[0] if len(weights) == 1 else torch.cat(weights)
    for module, rows in zip(modules, weight.split([len(one) for one in weights]), strict=True):
        if merges:
            undo.enter_context(merged_as(module, name, rows))
        else:
            module.weight.data = rows
            undo.callback(_lie_alone, module.weight)
    biases = [module.bias for module in modules]
    bias = None if biases[0] is None else torch.cat([bias.detach() for bias in biases])
    return partial(linear, weight=weight, bias=bias)


def _lie_alone(weight: Any) -> None:
    weight.data = weight.data.clone()


def _side_by_side(modules: Sequence[Any], states: Tensor) -> Tensor:
    return torch.cat([module(states) for module in modules], dim=-1)
