"""An adapter beside its base: read unmerged, refused on another base, merged in float32."""

import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration

from tests.models.conftest import loaded
from videothinker.errors import UserError
from videothinker.models import adapters
from videothinker.models.base import Group
from videothinker.models.catalog import find_shape, load_policy
from videothinker.models.folders import find_model, read_base
from videothinker.models.loaded import Policy
from videothinker.models.logprobs import group_logps
from videothinker.planning.live_bytes import LiveBytes

TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
RANK, ALPHA = 3, 12


def adapted(folder: Path, dtype: str = "float32", scale: float = 0.2) -> Policy:
    """The base with an adapter that says something, as after training."""
    return adapt(load_policy(folder, dtype=dtype), folder, scale)


def adapt(policy: Policy, folder: Path, scale: float = 0.2) -> Policy:
    """A policy that was loaded from the folder, or from the same bytes."""
    lora = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS)
    adapters.inject(policy.model, lora, adapters.POLICY_ADAPTER)
    adapters.activate(policy, adapters.POLICY_ADAPTER)
    policy.base = adapters.find_base(str(folder))
    stream = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for param in adapters.factors(policy.model, adapters.POLICY_ADAPTER).values():
            param.copy_(scale * torch.randn(param.shape, generator=stream))
    return policy


@pytest.fixture
def base(tiny_folder: Path, tmp_path: Path) -> Path:
    """A base of this test's own, which it may move or change."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "base"))


@pytest.fixture
def run(tiny_folder: Path, base: Path, tmp_path: Path) -> Path:
    """A run folder with nothing but its `model/`."""
    policy = deepcopy(loaded(tiny_folder))
    adapters.save_adapter(adapt(policy, base), tmp_path / "run" / "model")
    return tmp_path / "run"


def logps(policy: Policy, group: Group) -> Tensor:
    with torch.no_grad():
        return group_logps(policy, group).logps_GC


def by_definition(base: Path, adapter: Path) -> dict[str, Tensor]:
    """W + alpha / r B A in float64, from the two folders' files alone."""
    plain = Qwen2_5_VLForConditionalGeneration.from_pretrained(base).state_dict()
    stored = load_file(adapter / "adapter_model.safetensors")
    settings = json.loads((adapter / "adapter_config.json").read_text())
    scale = settings["lora_alpha"] / settings["r"]
    touched = 0
    for name, down in stored.items():
        if name.endswith(".lora_A.weight"):
            place = name.removeprefix("base_model.model.").replace(".lora_A", "")
            up = stored[name.replace("lora_A", "lora_B")].double()
            plain[place] = (plain[place].double() + scale * up @ down.double()).float()
            touched += 1
    assert touched == 3 * 7  # layers times maps
    return plain


def test_a_run_is_read_as_base_plus_scaled_product(base: Path, run: Path, group: Group) -> None:
    policy, plain = load_policy(run), load_policy(base)
    start = logps(plain, group)
    plain.model.load_state_dict(by_definition(base, run / "model"))
    wanted = logps(plain, group)
    torch.testing.assert_close(logps(policy, group), wanted, rtol=1e-4, atol=1e-5)
    assert (wanted - start).abs().max() > 0.1
    assert policy.base == read_base(run / "model")
    assert not any(parameter.requires_grad for parameter in policy.model.parameters())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_read_is_bit_for_bit_what_was_saved(
    base: Path, tmp_path: Path, group: Group, dtype: str
) -> None:
    trained = adapted(base, dtype)
    adapters.save_adapter(trained, tmp_path / "a")
    again = load_policy(tmp_path / "a", dtype=dtype)
    assert again.digest == trained.digest
    assert again.digest != load_policy(base, dtype=dtype).digest
    assert torch.equal(logps(again, group), logps(trained, group))
    with safe_open(tmp_path / "a" / "adapter_model.safetensors", "pt") as file:
        stored = {str(file.get_tensor(name).dtype) for name in file.keys()}  # noqa: SIM118
    assert stored == {f"torch.{dtype}"}


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # peft's own call
def test_plain_peft_reads_the_same_model(base: Path, run: Path, group: Group) -> None:
    """The folder is in peft's own format: peft's loader is the oracle."""
    policy = load_policy(base)
    theirs = PeftModel.from_pretrained(policy.model, str(run / "model"))
    policy.model = theirs.get_base_model()  # its layers now carry the adapter
    torch.testing.assert_close(logps(policy, group), logps(load_policy(run), group))


def test_the_folder_holds_the_adapter_alone_and_says_what_it_is(base: Path, run: Path) -> None:
    folder = run / "model"
    files = {"adapter_config.json", "adapter_model.safetensors", "base.json", "README.md"}
    assert {path.name for path in folder.iterdir()} == files
    words = (folder / "README.md").read_text()
    for part in ("not a complete model", "Rank 3, alpha 12", str(base), "export --merge"):
        assert part in words
    assert json.loads((folder / "adapter_config.json").read_text())[
        "base_model_name_or_path"
    ] == str(base)
    # what needs a shape or a tokenizer looks at the base
    assert find_model(run).complete == str(base)
    assert find_shape(str(run)) == find_shape(str(base))


def test_a_moved_base_is_refused_until_its_place_is_told(base: Path, run: Path) -> None:
    elsewhere = base.rename(base.with_name("elsewhere"))
    with pytest.raises(UserError, match=r"base, which is not there; .*base\.json"):
        load_policy(run)
    base_file = run / "model" / "base.json"
    base_file.write_text(json.dumps(json.loads(base_file.read_text()) | {"model": str(elsewhere)}))
    assert load_policy(run).adapter is not None


@pytest.mark.parametrize("what", ["one weight", "chat template", "configuration"])
def test_a_changed_base_is_refused(base: Path, run: Path, what: str) -> None:
    if what == "one weight":
        weights = load_file(base / "model.safetensors")
        weights["model.layers.1.mlp.up_proj.weight"][-1, -1] += 1e-6
        save_file(weights, base / "model.safetensors", {"format": "pt"})
    elif what == "chat template":
        template = base / "chat_template.jinja"
        template.write_text(template.read_text().replace("assistant", "helper"))
    else:
        config = json.loads((base / "config.json").read_text())
        config["text_config"]["rms_norm_eps"] = 1e-5
        (base / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="another model"):
        load_policy(run)


def test_how_the_base_is_spread_over_files_does_not_matter(base: Path, run: Path) -> None:
    before = adapters.base_digest(str(base))
    state = load_file(base / "model.safetensors")
    names, spread = sorted(state), {}
    (base / "model.safetensors").unlink()
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({name: state[name] for name in part}, base / file, {"format": "pt"})
        spread |= dict.fromkeys(part, file)
    (base / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": spread})
    )
    assert adapters.base_digest(str(base)) == before
    assert load_policy(run).adapter is not None


def test_an_adapter_that_names_no_base_is_refused(run: Path) -> None:
    """As an earlier version wrote it: only the beginning of every tensor was known of the base."""
    (run / "model" / "base.json").write_text('{"fingerprint": "0"}')
    with pytest.raises(UserError, match=r"no base\.json"):
        load_policy(run)
    named = {"model": "/" + "9" * 300, "digest": "0"}
    (run / "model" / "base.json").write_text(json.dumps(named))
    with pytest.raises(UserError, match="a disk holds 255"):
        load_policy(run)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def entry(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def no_number(file: Path) -> None:
    held = load_file(file)
    next(iter(held.values()))[0, 0] = float("nan")
    save_file(held, file)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "adapter_model.safetensors").unlink(), "safetensors is not there"),
        (lambda f: (f / "adapter_model.safetensors").write_bytes(b"12345678"), "not a safetensors"),
        (lambda f: cut(f / "adapter_model.safetensors"), r"is cut off \(.* bytes\); download"),
        (lambda f: (f / "adapter_config.json").write_text("{"), "is not readable JSON"),
        (lambda f: (f / "adapter_config.json").write_text("[1]"), "holds a list; a JSON object"),
        (lambda f: (f / "adapter_config.json").write_text('{"peft_type": "IA3"}'), "LoRA alone"),
        (lambda f: entry(f / "adapter_config.json", r=10**9), "rank 1000000000, and no tensor"),
        (lambda f: entry(f / "adapter_config.json", target_modules=7), "adapter .* could not be"),
        (lambda f: no_number(f / "adapter_model.safetensors"), "holds values that are not finite"),
        (lambda f: (f / "base.json").write_text("[]"), "base.json holds a list"),
        (lambda f: entry(f / "base.json", model=7), "'model' is 7; allowed is a string"),
        (lambda f: entry(f / "base.json", model=str(f)), "which is a LoRA adapter too"),
    ],
)
def test_a_broken_adapter_is_one_sentence(
    run: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(run / "model")
    with pytest.raises(UserError, match=message):
        load_policy(run)


def test_an_old_run_with_merged_weights_is_a_complete_model(base: Path, tmp_path: Path) -> None:
    """`model/` was complete then, and an adapter lay beside it."""
    old = tmp_path / "old"
    shutil.copytree(base, old / "model")
    adapters.save_adapter(adapted(base), old / "adapter")
    policy = load_policy(old)
    assert policy.adapter is None
    assert policy.digest == load_policy(base).digest


def test_merged_it_is_the_definition_rounded_once(base: Path, tmp_path: Path) -> None:
    """In bfloat16 too: the sum is float32, so every weight is the true one's nearest."""
    for dtype in ("float32", "bfloat16"):
        policy = adapted(base, dtype, scale=0.02)
        adapters.save_adapter(policy, tmp_path / dtype)
        adapters.merge(policy)
        policy.save(tmp_path / f"merged-{dtype}")
        merged = load_policy(tmp_path / f"merged-{dtype}", dtype=dtype).model.state_dict()
        half = load_policy(base, dtype=dtype)  # a base that is stored in this precision
        half.save(tmp_path / f"base-{dtype}")
        wanted = by_definition(tmp_path / f"base-{dtype}", tmp_path / dtype)
        assert merged.keys() == wanted.keys()
        for name, tensor in wanted.items():
            exact = tensor.to(merged[name].dtype)
            if dtype == "float32":
                torch.testing.assert_close(merged[name], exact, rtol=1e-5, atol=1e-7)
            else:  # half a last bit may fall on either side where the float32 sum itself rounds
                assert (merged[name] != exact).float().mean() < 0.002, name


def test_merging_goes_layer_by_layer(base: Path) -> None:
    """Bytes alive: the model, and float32 copies of one layer's factors and sum."""
    policy = adapted(base, "bfloat16")
    sizes = [layer.get_base_layer().weight.numel() for _, layer in adapters.layers(policy.model)]
    with LiveBytes(policy.model.parameters()) as live:
        start = live.now
        adapters.merge(policy)
    assert live.peak - start < 2 * 4 * max(sizes) < 4 * sum(sizes) / 4
    assert policy.adapter is None
    assert not any(".lora_" in name for name in policy.model.state_dict())


def test_same_weights_looks_through_adapters_that_add_nothing(base: Path, tmp_path: Path) -> None:
    plain, copy = load_policy(base), load_policy(base)
    moved, nothing = adapted(base), adapted(base)
    for name, param in adapters.factors(nothing.model, adapters.POLICY_ADAPTER).items():
        if ".lora_B." in name:
            param.data.zero_()
    assert adapters.same_weights(plain, copy)
    assert adapters.same_weights(plain, nothing)
    assert adapters.same_weights(nothing, plain)
    assert not adapters.same_weights(plain, moved)
    assert adapters.same_weights(moved, adapted(base))
    louder = adapted(base)
    for _, layer in adapters.layers(louder.model):
        layer.scaling[adapters.POLICY_ADAPTER] *= 2
    assert not adapters.same_weights(moved, louder)
    with torch.no_grad():
        copy.head_VD[0, 0] += 1
    assert not adapters.same_weights(plain, copy)
