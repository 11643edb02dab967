"""What does a reader do with a file that was changed at random?

Changes good answers, questions, records, annotations, programs, recipes, grids, run.json,
checkpoint states and the files of a model, each by a seeded draw, and reads them. Allowed is a
result or a `UserError`; a result that is a record must round-trip. Anything else prints its kind
and the number of the trial.
"""

import faulthandler
import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from soak_record import Record
from soak_stages import TINY

from videothinker import answers
from videothinker.benchmarks import jsonl
from videothinker.clevrer import annotations, programs, questions
from videothinker.clevrer.scenes import from_annotation
from videothinker.errors import UserError
from videothinker.grids import plan
from videothinker.models.border import read_object
from videothinker.models.catalog import FAMILIES, load_policy, read_shape
from videothinker.models.checkpoint import read_checkpoint
from videothinker.models.qwen2_5_vl.small import SmallConfig, build_small
from videothinker.prompts import render
from videothinker.recipes import as_words, read_recipe
from videothinker.records import Diagnosis, Question, Sample, Step, encode, read_jsonl, write_jsonl
from videothinker.run_file import read_run_file
from videothinker.training.checkpoints import read_progress

HUNG = 300
"""Seconds until one trial counts as hung; the process ends with its stack."""
GOAL = 10_000
"""Trials of each kind."""
JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 2**70, 1.5, "", "x", "A", "../x", "\0", [], [1], ["A"], {}, {"a": 1},
)  # fmt: skip
PIECES = (
    b"[", b"{", b"}", b'"', b",", b":", b"\0", b"\xff", b"\xed\xa0\x80", b"[" * 2000,
    b'{"a":' * 2000,
    b"1e999", b"NaN", b"9" * 5000, b"!!set ", b"&a ", b"*a", b"<<: ", b"\n", b"- ", b"<answer>",
    b"</think>", b"\\ud800", b"\xe2\x80\xa8",
)  # fmt: skip
WORDS = ["the red cube and the blue sphere collide", "A, B, C"]


@dataclass(frozen=True)
class Kind:
    """A good file and who reads it; a reader raises nothing but `UserError`."""

    good: bytes
    read: Callable[[Path], object]
    name: str = "file"
    """Of the file."""
    change: "Callable[[bytes, Random], bytes] | None" = None
    """How it is changed, where not by `mutate`."""


def mutate(good: bytes, random: Random) -> bytes:
    """The bytes with 1 to 3 changes: of a value inside JSON, or of the text."""
    data = good
    for _ in range(random.randint(1, 3)):
        data = _of_value(data, random) if random.random() < 0.5 else _of_text(data, random)
    return data


def _of_text(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    end = min(len(data), start + random.choice((0, 1, 4, 40)))
    piece = random.choice((b"", data[start:end] * 2, random.choice(PIECES), random.randbytes(2)))
    return data[:start] + piece + data[end:]


def _of_value(data: bytes, random: Random) -> bytes:
    """Another value in the place of one inside JSON; other text stays as it is."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return data
    places: list[tuple[Any, Any]] = []
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | list):
            keys: list[Any] = list(one) if isinstance(one, dict) else list(range(len(one)))
            places += [(one, key) for key in keys]
            waiting += [one[key] for key in keys]
    if not places:
        return data
    inside, key = random.choice(places)
    inside[key] = random.choice(JUNK)
    return json.dumps(content).encode()


def mutate_tensors(good: bytes, random: Random) -> bytes:
    """A safetensors file, changed in its header (8 bytes of length, then JSON) or anywhere."""
    if random.random() < 0.3:
        return mutate(good, random)
    length = int.from_bytes(good[:8], "little")
    header = mutate(good[8 : 8 + length], random)
    told = len(header) if random.random() < 0.8 else random.choice((0, 1, length, 2**40, 2**63))
    return told.to_bytes(8, "little") + header + good[8 + length :]


def _records(kind: Any) -> Callable[[Path], object]:
    """Read, write, read again: the same records."""

    def read(path: Path) -> object:
        found = read_jsonl(path, kind)
        again = read_jsonl(write_jsonl(path, found), kind)
        if again != found:
            raise AssertionError(f"{found} came back as {again}")
        return found

    return read


def _answer(path: Path) -> object:
    text = path.read_bytes().decode("utf-8", "replace")
    found = answers.parse(text, ("yes", "no", "maybe"), truncated=False)
    if found.answer is not None and not set(found.answer) <= set("ABC"):
        raise AssertionError(f"{found.answer} of three choices")
    return found


def _program(path: Path) -> object:
    tokens = path.read_bytes().decode("utf-8", "replace").split()
    scene = from_annotation(annotations.read_annotation(path.parent / "annotation"))
    programs.run(tokens, scene)
    return programs.removed_object([*tokens, "get_counterfact"], scene)


def _scene(path: Path) -> object:
    return from_annotation(annotations.read_annotation(path, trajectories=True))


def _recipe(path: Path) -> object:
    return as_words(read_recipe(path), "recipe")


def _model(path: Path) -> object:
    return read_checkpoint(path.parent, {kind: one.name for kind, one in FAMILIES.items()})


def _state(path: Path) -> object:
    return read_progress(path.parent)


def _loaded(path: Path) -> object:
    """Load the whole model, and do with it what `ask` does before it draws."""
    with warnings.catch_warnings(action="ignore"):
        policy = load_policy(path.parent, device="cpu")
        prompt = policy.encode(render("Without the red cube?", ("it moves", "A, B")), None)
        return prompt, policy.tokenizer.decode(range(5))


def _shape(path: Path) -> object:
    return read_shape(read_object(path), str(path))


def _annotation() -> dict[str, Any]:
    """Two objects that collide, in CLEVRER's layout."""
    spot = {"location": [0, 0, 0], "orientation": [0, 0, 0], "velocity": [1, 0, 0],
            "angular_velocity": [0, 0, 0], "inside_camera_view": True}  # fmt: skip
    looks = [("red", "metal", "cube"), ("blue", "rubber", "sphere")]
    return {
        "scene_index": 0,
        "video_filename": "v.mp4",
        "object_property": [
            dict(zip(("object_id", "color", "material", "shape"), (i, *look), strict=True))
            for i, look in enumerate(looks)
        ],
        "collision": [{"object_ids": [0, 1], "frame_id": 1, "location": [0, 0, 0]}],
        "motion_trajectory": [
            {"frame_id": t, "objects": [{"object_id": i, **spot} for i in (0, 1)]} for t in (0, 1)
        ],
    }


def kinds(folder: Path) -> dict[str, Kind]:
    """Every kind of file; `folder` gets the models that some of them belong to."""
    question = Question(
        id="q", dataset="d", split="train", context="frame 1: they collide", question="Which?",
        choices=("a", "b"), answer=("A",), type="t", groups={"scene": "1"},
    )  # fmt: skip
    program = "events objects red filter_color unique filter_collision unique"
    raw = {"question_id": 0, "question": "Which?", "question_type": "counterfactual",
           "program": ["objects"], "choices": [
               {"choice_id": 0, "choice": "a", "program": program.split(), "answer": "wrong"}
           ]}  # fmt: skip
    scenes = [{"scene_index": 0, "video_filename": "v.mp4", "questions": [raw]}]
    removed = "objects red filter_color metal filter_material unique"
    run = {"stage": "s", "config": {"seed": 0}, "inputs": {"data": None}, "status": "failed",
           "times": [{"started": 1.0}], "facts": {"data_root": "x"}}  # fmt: skip
    state = {"step": 3, "position": 6, "entropy": 1.5, "divergence": None, "bad_in_a_row": 0}
    model = build_small(folder / "model", SmallConfig(), WORDS)
    tiny = build_small(folder / "loaded", SmallConfig(**TINY), WORDS)
    grid = b"seed: 1\ncells:\n- {name: 'a-{s}', run: world, each: {s: [1, 2]}, frames: 4}\n"
    sample = Sample(question_id="q", model="m", protocol="p", verdict="ok", answer=("A",))
    files = {name: (model / name).read_bytes() for name in (
        "config.json", "generation_config.json", "preprocessor_config.json",
        "tokenizer_config.json",
    )}  # fmt: skip
    return {
        "answers": Kind(b"<think>the cube moves</think><answer>A, C</answer>", _answer),
        "questions": Kind(encode(question), jsonl.read_questions, "questions.jsonl"),
        "records: question": Kind(encode(question), _records(Question)),
        "records: sample": Kind(encode(sample), _records(Sample)),
        "records: step": Kind(encode(Step(step=1, loss=0.5)), _records(Step)),
        "records: diagnosis": Kind(
            encode(Diagnosis(question_id="q", rule="r", label="excluded", flags={"r": None})),
            _records(Diagnosis),
        ),
        "annotations": Kind(json.dumps(_annotation()).encode(), _scene, "annotation"),
        "CLEVRER questions": Kind(json.dumps(scenes).encode(), questions.read_questions),
        "programs": Kind(removed.encode(), _program),
        "recipes": Kind(b"seed: 1\nframes: 4\nreward-funcs: [a, b]\n", _recipe),
        "grids": Kind(grid, lambda path: plan(path, Path("r"))),
        "run.json": Kind(json.dumps(run).encode(), read_run_file),
        "checkpoint state": Kind(json.dumps(state).encode(), _state, "state.json"),
        **{f"model: {name}": Kind(good, _model, name) for name, good in files.items()},
        "model: shape": Kind(files["config.json"], _shape),
        "loaded: tokenizer.json": Kind(
            (tiny / "tokenizer.json").read_bytes(), _loaded, "tokenizer.json"
        ),
        "loaded: model.safetensors": Kind(
            (tiny / "model.safetensors").read_bytes(), _loaded, "model.safetensors", mutate_tensors
        ),
    }


def try_one(kind: Kind, folder: Path, seed: str) -> bool:
    """Read the file of this seed; was it taken? Whatever is no `UserError` gets out."""
    path = folder / kind.name
    path.write_bytes((kind.change or mutate)(kind.good, Random(seed)))
    faulthandler.dump_traceback_later(HUNG, exit=True)
    try:
        kind.read(path)
    except UserError as error:
        if not str(error).strip():
            raise AssertionError("an error without a word") from error
        return False
    finally:
        faulthandler.cancel_dump_traceback_later()
        path.write_bytes(kind.good)
    return True


def soak(record: Record) -> None:
    """Go on where the record stands, some of each kind in turn, until the goal or the time."""
    goal = record.goal or GOAL
    with tempfile.TemporaryDirectory() as name:
        every = kinds(Path(name))
        while not record.late and any(_tried(record, one) < goal for one in every):
            for one, kind in every.items():
                room = one.partition(": ")[0]
                folder = Path(name) / (room if room in ("model", "loaded") else "step-3")
                folder.mkdir(exist_ok=True)
                (folder / "annotation").write_bytes(every["annotations"].good)
                _try_some(record, one, kind, folder, goal)
            record.save()


def _tried(record: Record, name: str) -> int:
    return int(sum(record.table.get(name, {}).values()))


def _try_some(record: Record, name: str, kind: Kind, folder: Path, goal: int) -> None:
    """The next hundred trials of a kind."""
    found = record.table.setdefault(name, {"taken": 0, "refused": 0})
    for number in range(_tried(record, name), min(goal, _tried(record, name) + 100)):
        if record.late:
            break
        try:
            taken = try_one(kind, folder, f"{name} {number}")
        except BaseException:
            sys.stderr.write(f"{name}, trial {number}:\n")
            raise
        found["taken" if taken else "refused"] += 1
