"""Folders as other tools, cut downloads and strangers leave them: each ends in one sentence."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from tests.models.qwen2_5_vl.test_model import official_layout
from videothinker.errors import UserError
from videothinker.files import border
from videothinker.generation.base import Sampling
from videothinker.generation.shared_prefix import generate
from videothinker.models.border import parse
from videothinker.models.catalog import load_policy
from videothinker.models.checkpoint import ConfigFile, read_header
from videothinker.models.loaded import Policy
from videothinker.models.loading import open_checkpoint
from videothinker.models.qwen_vl.preprocessor import PreprocessorFile

KINDS = {"qwen2_5_vl": "Qwen2.5-VL"}
Change = Callable[[Path], object]
UP = "model.layers.0.mlp.up_proj.weight"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def entries(file: str, *path: str, **values: Any) -> Change:
    """Entries of a JSON file, at `path` inside it, set to other values."""

    def change(folder: Path) -> None:
        content = inside = json.loads((folder / file).read_text(encoding="utf-8"))
        for name in path:
            inside = inside[name]
        inside |= values
        (folder / file).write_text(json.dumps(content), encoding="utf-8")

    return change


def text(**values: Any) -> Change:
    return entries("config.json", "text_config", **values)


def vision(**values: Any) -> Change:
    return entries("config.json", "vision_config", **values)


def holds(file: str, content: bytes | str) -> Change:
    raw = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / file).write_bytes(raw)


def cut(size: int) -> Change:
    def change(folder: Path) -> None:
        file = folder / WEIGHTS
        file.write_bytes(file.read_bytes()[:size])

    return change


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def rewrite(folder: Path) -> None:
        held = load_file(folder / WEIGHTS)
        change(held)
        save_file(held, folder / WEIGHTS, metadata={"format": "pt"})

    return rewrite


def tensor(name: str, value: torch.Tensor) -> Change:
    return tensors(lambda held: held.update({name: value}))


def all_of(*changes: Change) -> Change:
    return lambda folder: [change(folder) for change in changes]


FULL = ["full_attention"]
CASES: dict[str, tuple[Change, str]] = {
    "awq": (
        entries("config.json", quantization_config={"quant_method": "awq", "bits": 4}),
        r"quantized weights \(awq, 4 bits\).*give the model that it was made from",
    ),
    "gptq inside": (
        text(quantization_config={"quant_method": "gptq"}),
        r"quantized weights \(gptq\)",
    ),
    "bitsandbytes": (
        entries("config.json", quantization_config={"load_in_4bit": True}),
        "quantized weights .*4 bits",
    ),
    "quantized without a word": (
        tensor(UP, torch.zeros(96, 64, dtype=torch.int8)),
        f"{UP} is of type I8; only plain float32",
    ),
    "no bytes": (holds(WEIGHTS, b""), r"empty \(0 bytes\); download it again"),
    "a pointer": (
        holds(WEIGHTS, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        "pointer of Git LFS.*git lfs pull",
    ),
    "a web page": (holds(WEIGHTS, "<!DOCTYPE html><html>404</html>"), "not a safetensors file"),
    "cut": (cut(-100), r"is cut off \([\d,]+ of [\d,]+ bytes\); download it again"),
    "cut in the header": (cut(500), "cut off within its header.*download it again"),
    "cut in the length": (cut(5), "cut off within its header.*download it again"),
    "gathered nowhere": (
        tensor(UP, torch.zeros(0, 64)),
        rf"{UP} is empty \(shape \[0, 64\]\).*ZeRO-3.*gathered",
    ),
    "one tensor more": (
        tensor("model.extra", torch.zeros(3)),
        r"hold, beyond the config, 1 tensor \(model\..*extra\).*take both from one",
    ),
    "one tensor less": (tensors(lambda held: held.pop(UP)), r"lack 1 tensor \(.*0\.mlp\.up_proj"),
    "another shape": (
        tensor(UP, torch.zeros(5, 7)),
        r"in another shape 1 tensor \(.*up_proj.weight of \[5, 7\] for \[96, 64\]\)",
    ),
    "fewer layers": (text(num_hidden_layers=2, layer_types=FULL * 2), "beyond the config, 12 ten"),
    "a larger model": (
        text(intermediate_size=96_000),
        r"describes [\d,]+ parameters, the weights hold [\d,]+; take both from one model",
    ),
    "layers without end": (
        text(num_hidden_layers=10**5, layer_types=FULL * 10**5),
        "has num_hidden_layers 100000, the weights have 68 tensors",
    ),
    "another head": (
        tensors(lambda t: t.update({"lm_head.weight": 2 * t["model.embed_tokens.weight"]})),
        "weights hold another head; set tie_word_embeddings to false",
    ),
    "a rotary section": (
        text(rope_parameters={"mrope_section": [1, 2, 3], "rope_type": "default"}),
        "its model cannot be run.*config.json",
    ),
    "no window": (vision(window_size=0), "its model cannot be run"),
    "no such activation": (text(hidden_act="boom"), "could not be loaded.*boom"),
    "a string for a number": (text(rms_norm_eps="x"), "config.json describes no Qwen2_5_VL.*eps"),
    "another video token": (entries("config.json", video_token_id=5), "shows the video token"),
    "no such video token": (entries("config.json", video_token_id=10**9), "is no token of its"),
    "an end that is not there": (
        entries("generation_config.json", eos_token_id=[10**9]),
        r"ends with the tokens \[1000000000\]",
    ),
    "an end of words": (
        entries("generation_config.json", eos_token_id=["x"]),
        r"'eos_token_id' is \[\"x\"\]; allowed is a whole number or a list of whole numbers or nu",
    ),
    "a dtype of its own": (
        entries("config.json", dtype="float8_e4m3fn"),
        "run in 'float8_e4m3fn'; only float32, bfloat16, float16 are run",
    ),
    "no number for a mean": (
        entries("preprocessor_config.json", image_mean=[0.5, None, 0.5]),
        "'image_mean' is .*; allowed is a list of numbers",
    ),
    "no deviation": (
        entries("preprocessor_config.json", image_std=[0.5, 0, 0.5]),
        "image_std .*must be above 0",
    ),
    "two colors": (entries("preprocessor_config.json", image_mean=[0.5, 0.5]), "three numbers"),
    "an empty budget": (
        entries("preprocessor_config.json", size={"shortest_edge": 9, "longest_edge": 4}),
        "pixels from 9 to 4 came",
    ),
    "one edge": (entries("preprocessor_config.json", size=224), "'size' is 224; allowed is an obj"),
    "another vocabulary": (
        entries("tokenizer_config.json", extra_special_tokens=["<|one|>", "<|more|>"]),
        "its tokenizer has tokens up to .*, the model 3.. embeddings",
    ),
    "no template": (
        lambda folder: (folder / "chat_template.jinja").unlink(),
        "has no chat template; take the template from where",
    ),
    "half a template": (
        holds("chat_template.jinja", "{% for m in messages %}{{ m "),
        "the chat template fails .TemplateSyntaxError",
    ),
    "a template in GBK": (
        holds("chat_template.jinja", "{{ '视频' }}".encode("gbk")),
        "its tokenizer could not be loaded .*utf-8",
    ),
    "a template that is a list": (
        all_of(
            lambda folder: (folder / "chat_template.jinja").unlink(),
            holds("chat_template.json", '{"chat_template": ["x"]}'),
        ),
        r"'chat_template' is \[\"x\"\]; allowed is a string",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_folder_that_cannot_be_used_ends_in_a_sentence(copy: Path, name: str) -> None:
    change, said = CASES[name]
    change(copy)
    with pytest.raises(UserError, match=said) as stop:
        load_policy(copy)
    sentence = str(stop.value)
    assert str(copy) in sentence
    assert "\n" not in sentence
    # only where the file says itself that there should be more of it
    assert ("download" in sentence) == (name.startswith("cut") or name == "no bytes")


JSON = ("config", "tokenizer", "tokenizer_config", "preprocessor_config", "generation_config")
BROKEN = {
    "[1, 2]": "holds a list; a JSON object is allowed",
    "7": "holds a whole number; a JSON object",
    "": "is not readable JSON",
    '\ufeff{"a": 1}': "is not readable JSON .*BOM",
    '{"a": "视"}': "is not readable JSON .*utf-8",
    '{"a":' * 50_000 + "1" + "}" * 50_000: "is not readable JSON .*recursion",
}


@pytest.mark.parametrize("file", JSON)
def test_json_of_another_form_is_named(copy: Path, file: str) -> None:
    for content, said in BROKEN.items():
        encoding = "gbk" if "视" in content else "utf-8"
        (copy / f"{file}.json").write_bytes(content.encode(encoding))
        with pytest.raises(UserError, match=rf"copy/{file}\.json {said}"):
            open_checkpoint(copy, KINDS)


@pytest.mark.parametrize("name", ["../other/model.safetensors", "/etc/hostname", "weights.bin"])
def test_an_index_reads_safetensors_of_its_own_folder_alone(
    tiny_folder: Path, tmp_path: Path, name: str
) -> None:
    shutil.copytree(tiny_folder, tmp_path / "other")
    folder = official_layout(tmp_path / "official", tiny_folder)
    entries(INDEX, "weight_map", **{UP: name})(folder)
    with pytest.raises(UserError, match=f"names the weight file '{name}'; only safetensors in the"):
        load_policy(folder)


def test_an_index_of_another_form(tiny_folder: Path, tmp_path: Path) -> None:
    folder = official_layout(tmp_path / "official", tiny_folder)
    for content, said in (
        ("[]", "holds a list"),
        ("{}", "has no 'weight_map'"),
        ('{"weight_map": [1]}', "'weight_map' is .1.; allowed is an object of strings"),
        ('{"weight_map": {"a": 1}}', "allowed is an object of strings"),
        ('{"weight_map": {}}', "lacks 0 of 0 weight files"),
        ('{"weight_map": {"a": "%s.safetensors"}}' % ("a" * 300), "lacks 1 of 1 weight files"),
    ):
        holds(INDEX, content)(folder)
        with pytest.raises(UserError, match=said):
            open_checkpoint(folder, KINDS)


def test_a_tensor_in_two_files(tiny_folder: Path, tmp_path: Path) -> None:
    folder = official_layout(tmp_path / "official", tiny_folder)
    one, two = sorted(folder.glob("model-*.safetensors"))
    shutil.copy(one, two)
    with pytest.raises(UserError, match=r"holds the tensor .* in two files"):
        open_checkpoint(folder, KINDS)


def test_a_head_that_is_written_out_and_the_same_is_read(copy: Path, policy: Policy) -> None:
    """As some trainers save a tied head."""
    tensors(lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].clone()}))(copy)
    again = load_policy(copy)
    assert again.digest == policy.digest


def test_a_template_beside_the_processor_is_read(copy: Path, policy: Policy) -> None:
    """`chat_template.json`, as Qwen2.5-VL was published first."""
    template = (copy / "chat_template.jinja").read_text(encoding="utf-8")
    (copy / "chat_template.jinja").unlink()
    holds("chat_template.json", json.dumps({"chat_template": template}))(copy)
    again = load_policy(copy)
    assert torch.equal(again.encode("Who?").input_ids_P, policy.encode("Who?").input_ids_P)


def test_headers_are_what_was_saved(tmp_path: Path) -> None:
    save_file(
        {"a": torch.zeros(2, 3, dtype=torch.bfloat16), "b": torch.zeros(4)}, tmp_path / WEIGHTS
    )
    found = read_header(tmp_path / WEIGHTS)
    assert {n: (t.dtype, t.shape) for n, t in found.items()} == {
        "a": ("BF16", [2, 3]),
        "b": ("F32", [4]),
    }


def test_structs_have_the_types_they_say() -> None:
    with pytest.raises(UserError, match="here has no 'model_type'"):
        parse(ConfigFile, {}, "here")
    with pytest.raises(UserError, match="here: 'model_type' is null; .*string"):
        parse(ConfigFile, {"model_type": None}, "here")
    with pytest.raises(UserError, match="'min_pixels' is true; .*number or null"):
        parse(PreprocessorFile, {"min_pixels": True}, "here")
    with pytest.raises(UserError, match="'size' is a list; .*object or null"):
        parse(PreprocessorFile, {"size": list(range(100))}, "here")
    found = parse(PreprocessorFile, {"image_mean": [0, 0.5], "other": object()}, "here")
    assert found == PreprocessorFile(image_mean=[0, 0.5])


def test_the_border_takes_panics_and_lets_interrupts_pass() -> None:
    class Panic(BaseException):
        """As Rust's reach Python."""

    for raised in (Panic("at\nthe end"), KeyError("x")):
        said = f"it broke .{type(raised).__name__}: .*; mend it"
        with pytest.raises(UserError, match=said), border("it broke", "mend it"):
            raise raised
    for passed in (KeyboardInterrupt(), UserError("mine")):
        with pytest.raises(type(passed)), border("it broke", "mend it"):
            raise passed


def test_a_hub_id_is_held_to_the_same(
    tiny_folder: Path, tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a cache as the hub's client leaves it: links to blobs."""
    root, commit = tmp_path / "models--some--tiny", "a" * 40
    shutil.copytree(tiny_folder, root / "blobs")
    for file in (root / "blobs").iterdir():
        link = root / "snapshots" / commit / file.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path("../../blobs") / file.name)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_policy("some/tiny").digest == policy.digest
    cut(-100)(root / "blobs")
    with pytest.raises(UserError, match="cut off"):
        load_policy("some/tiny")
    with pytest.raises(UserError, match="some/other is not in .* hub cannot be reached"):
        load_policy("some/other")


VALUES = (None, True, 0, -1, 3, 10**19, 0.5, float("nan"), "", "x", "float16", [], [[1]], {}, "视")


def mutated(content: Any, stream: random.Random) -> None:
    """One to three entries, anywhere, become another value or go."""
    for _ in range(stream.choice([1, 1, 2, 3])):
        inside = content
        while True:
            keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
            if not keys:
                break
            key = stream.choice(keys)
            if isinstance(inside[key], dict | list) and stream.random() < 0.8:
                inside = inside[key]
                continue
            if stream.random() < 0.2:
                del inside[key]
            else:
                inside[key] = stream.choice(VALUES)
            break


@pytest.mark.parametrize("file", JSON)
def test_mutations_load_or_end_in_a_sentence(tiny_folder: Path, tmp_path: Path, file: str) -> None:
    """A short version of what was run a thousand times; what loads also answers."""
    outcomes = set()
    for seed in range(8):
        folder = Path(shutil.copytree(tiny_folder, tmp_path / str(seed)))
        content = json.loads((folder / f"{file}.json").read_text(encoding="utf-8"))
        mutated(content, random.Random(seed))
        (folder / f"{file}.json").write_text(json.dumps(content), encoding="utf-8")
        try:
            found = load_policy(folder)
        except UserError:
            outcomes.add("refused")
            continue
        outcomes.add("loaded")
        (group,) = generate(found, [found.encode("Who?")], Sampling(2, 3), [1])
        found.decode(group)
    assert "refused" in outcomes


@dataclass(frozen=True)
class Size:
    edge: int | None = None


@pytest.mark.parametrize("content", [[1], ["edge"], "edge", 7, None])
def test_an_entry_that_is_no_object_is_refused(content: object) -> None:
    with pytest.raises(UserError, match="size is .*; allowed is an object"):
        parse(Size, content, "preprocessor config, size")
