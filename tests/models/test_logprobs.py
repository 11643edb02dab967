"""Log-probabilities, entropies and divergences without the whole vocabulary in memory."""

import pytest
import torch
from torch import Tensor

from videothinker.models.logprobs import chunked_vocabulary, token_logps


def tensors(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    stream = torch.Generator().manual_seed(seed)
    hidden_ND = torch.randn(7, 5, generator=stream, dtype=torch.float64, requires_grad=True)
    head_VD = torch.randn(11, 5, generator=stream, dtype=torch.float64, requires_grad=True)
    return hidden_ND, head_VD, torch.randint(0, 11, (7,), generator=stream)


def test_two_tokens_by_hand() -> None:
    """Logits (0, ln 3) are probabilities 1/4 and 3/4; at temperature 1/2 they are 1/10 and 9/10."""
    head_VD = torch.tensor([[0.0], [1.0986122886681098]], dtype=torch.float64)
    hidden_ND = torch.ones(1, 1, dtype=torch.float64)
    logps, entropy = token_logps(hidden_ND, head_VD, torch.tensor([1]), temperature=1.0)
    assert logps.exp().item() == pytest.approx(0.75)
    assert entropy.item() == pytest.approx(0.5623351446)
    logps, _ = token_logps(hidden_ND, head_VD, torch.tensor([0]), temperature=0.5)
    assert logps.exp().item() == pytest.approx(0.1)


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_gradients_of_both_outputs(chunk: int, temperature: float) -> None:
    hidden_ND, head_VD, targets_N = tensors()
    assert torch.autograd.gradcheck(
        lambda h, w: token_logps(h, w, targets_N, temperature=temperature, chunk=chunk),
        (hidden_ND, head_VD),
    )


@pytest.mark.parametrize("which", [0, 1])
def test_one_output_alone(which: int) -> None:
    hidden_ND, head_VD, targets_N = tensors()
    token_logps(hidden_ND, head_VD, targets_N, temperature=1.0, chunk=2)[which].sum().backward()
    ours = hidden_ND.grad.clone(), head_VD.grad.clone()
    hidden_ND.grad = head_VD.grad = None
    logp_NV = (hidden_ND @ head_VD.T).log_softmax(-1)
    plain = (logp_NV.gather(1, targets_N[:, None])[:, 0], -(logp_NV.exp() * logp_NV).sum(-1))
    plain[which].sum().backward()
    assert torch.allclose(ours[0], hidden_ND.grad)
    assert torch.allclose(ours[1], head_VD.grad)


def test_a_frozen_head_gets_no_gradient() -> None:
    hidden_ND, head_VD, targets_N = tensors()
    token_logps(hidden_ND, head_VD.detach(), targets_N, temperature=1.0)[0].sum().backward()
    assert head_VD.grad is None
    assert hidden_ND.grad is not None


def kl(logp: Tensor, other: Tensor) -> Tensor:
    return (logp.exp() * (logp - other)).sum(-1)


def test_chunked_divergence_equals_the_whole() -> None:
    hidden_ND, head_VD, _ = tensors(1)
    bias_ND, bias_VD, _ = (t.detach() for t in tensors(2))
    args = [t.detach().float().requires_grad_() for t in (hidden_ND, head_VD)]
    whole_args = [t.detach().clone().requires_grad_() for t in args]
    chunked = chunked_vocabulary(
        kl, *args, bias_ND.float(), bias_VD.float(), temperature=0.8, chunk=3
    )
    logits = (whole_args[0] @ whole_args[1].T / 0.8, bias_ND.float() @ bias_VD.float().T / 0.8)
    whole = kl(*(one.log_softmax(-1) for one in logits))
    assert torch.allclose(chunked, whole, atol=1e-6)
    chunked.square().sum().backward()
    whole.square().sum().backward()
    for ours, plain in zip(args, whole_args, strict=True):
        assert torch.allclose(ours.grad, plain.grad, rtol=1e-4, atol=1e-5)


class _Largest(torch.utils._python_dispatch.TorchDispatchMode):
    """Remembers the largest tensor any operation makes."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize("form", ["logps", "divergence"])
def test_neither_pass_holds_tokens_times_vocabulary(form: str) -> None:
    tokens, vocabulary, width = 64, 500, 4
    hidden_ND = torch.randn(tokens, width, requires_grad=True)
    head_VD = torch.randn(vocabulary, width, requires_grad=True)
    targets_N = torch.zeros(tokens, dtype=torch.long)
    with _Largest() as seen:
        if form == "logps":
            value = token_logps(hidden_ND, head_VD, targets_N, temperature=1.0, chunk=8)[0]
        else:
            value = chunked_vocabulary(kl, hidden_ND, head_VD, hidden_ND, head_VD, chunk=8)
        value.sum().backward()
    assert 8 * vocabulary <= seen.elements < tokens * vocabulary
