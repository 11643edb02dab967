"""A family is one folder and one line: a new one is asked and trained by what is there already."""

from pathlib import Path

import pytest
import torch

from tests.answering_toys import write_video
from tests.models.conftest import CORPUS
from tests.models.toy_family import build_toy
from videothinker.answering.config import AskConfig
from videothinker.answering.single import ask
from videothinker.errors import UserError
from videothinker.generation.base import Sampling, generate
from videothinker.models import catalog
from videothinker.models.catalog import Family, load_model, load_policy, place
from videothinker.models.logprobs import group_logps

SAMPLING = Sampling(num_generations=4, max_completion_length=5, temperature=1.5)


@pytest.fixture
def toy(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its folder, after its one line was added."""
    line = Family("Qwen2-VL", "tests.models.toy_family:load", trains=True)
    monkeypatch.setitem(catalog.FAMILIES, "qwen2_vl", line)
    return build_toy(tmp_path / "toy", tiny_folder)


def test_it_is_placed_and_asked(toy: Path, tmp_path: Path) -> None:
    assert place(toy).parameters == sum(p.numel() for p in load_policy(toy).model.parameters())
    write_video(tmp_path / "a.mp4", 0)
    config = AskConfig(model=str(toy), choice=("yes", "no"), frames=4, max_new_tokens=6)
    found = ask(tmp_path / "a.mp4", "Without the sphere?", config)
    assert (found.frames, found.height, found.width) == (4, 56, 56)
    assert found.model == load_model(toy).digest
    assert found.first_text_position is None
    assert ask(tmp_path / "a.mp4", "Without the sphere?", config) == found


def test_it_is_trained(toy: Path, frames_THW3: torch.Tensor) -> None:
    """A rollout and a gradient; its log-probabilities are those its own logits say."""
    policy = load_policy(toy, freeze_vision=True)
    prompt = policy.encode(CORPUS[0], policy.to_video(frames_THW3, 3.0))
    (group,) = generate(policy, [prompt], SAMPLING, [7])
    with torch.no_grad():
        given = policy.inputs(prompt)
        first_V = policy.model(**given).logits[0, -1].log_softmax(-1)
        found_GC = group_logps(policy, group).logps_GC
    torch.testing.assert_close(found_GC[:, 0], first_V[group.completion_ids_GC[:, 0]])
    logps_G = group_logps(policy, group).logps_GC.sum(dim=1)
    (logps_G @ torch.tensor([1.0, -1.0, 0.5, -0.5])).backward()
    grads = {n: p.grad for n, p in policy.model.named_parameters() if p.grad is not None}
    assert grads["lm_head.weight"].abs().max() > 0
    assert not any("visual" in name for name in grads)


def test_what_no_line_names_takes_the_plain_path(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(catalog.FAMILIES, "qwen2_vl", raising=False)
    placed = place(build_toy(tmp_path / "toy", tiny_folder))
    assert placed.facts["path"] == placed.path == "plain path: slower"
    assert place(tiny_folder).path is None


def test_what_can_only_be_asked_is_not_trained(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = Family("Qwen2-VL", "tests.models.toy_family:load", trains=False)
    monkeypatch.setitem(catalog.FAMILIES, "qwen2_vl", line)
    assert load_model(toy).generator == "plain"
    with pytest.raises(UserError, match="Qwen2-VL, .*not trained"):
        load_policy(toy)
