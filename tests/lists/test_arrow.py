"""Folders of the library `datasets`: as `save_to_disk` writes them, and as a hub holds them."""

import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from videothinker import cli
from videothinker.benchmarks import jsonl
from videothinker.errors import UserError
from videothinker.lists import arrow as rows_of
from videothinker.lists.arrow_size import VALUE, unpacked_bytes
from videothinker.lists.reading import read_list
from videothinker.lists.table import read_table

ROWS = [
    {"question": f"Which {i}?", "options": ["left", "right"], "answer": i % 2, "video": f"{i}.mp4"}
    for i in range(5)
]


@pytest.fixture
def arrow() -> Any:
    """The extra `datasets`; the tests that write such folders are skipped without it."""
    return pytest.importorskip("pyarrow", reason="pip install pyarrow")


def save(arrow: Any, folder: Path, *shards: list[dict[str, Any]], split: str | None = None) -> Path:
    """As `Dataset.save_to_disk` of datasets 4.8 lays a folder out."""
    folder.mkdir(parents=True)
    names = [f"data-{i:05d}-of-{len(shards):05d}.arrow" for i in range(len(shards))]
    for name, rows in zip(names, shards, strict=True):
        table = arrow.Table.from_pylist(rows)
        with arrow.ipc.new_stream(str(folder / name), table.schema) as file:
            file.write_table(table)
    state = {"_data_files": [{"filename": name} for name in names], "_split": split}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_a_saved_dataset_is_a_list(arrow, tmp_path):
    folder = save(arrow, tmp_path / "list", ROWS[:3], ROWS[3:])
    found = read_list(folder, folder)
    assert [q.question for q in found.questions] == [row["question"] for row in ROWS]
    assert [q.answer for q in found.questions] == [("A",), ("B",), ("A",), ("B",), ("A",)]
    assert {q.split for q in found.questions} == {"unsplit"}
    assert found.table.place(4) == f"{folder}: row 4"


def test_splits_are_those_of_the_folder_unless_a_row_has_its_own(arrow, tmp_path):
    save(arrow, tmp_path / "train", ROWS[:2])
    save(arrow, tmp_path / "test", [row | {"split": "dev"} for row in ROWS[2:]])
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    found = jsonl.load(tmp_path, "all")
    assert [q.split for q in found.questions] == ["train"] * 2 + ["validation"] * 3
    assert [path.parent.name for path in found.files] == ["train", "test"]
    alone = save(arrow, tmp_path / "alone", ROWS[:1], split="train")
    assert read_table(alone).rows[0].value["split"] == "train"


def test_a_hubs_parquet_files_are_a_list_and_a_file_in_a_row_is_its_path(arrow, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "data").mkdir()
    for name, rows in (("train-00000-of-00001", ROWS[:3]), ("validation-00000-of-00001", ROWS[3:])):
        inside = [row | {"video": {"bytes": None, "path": row["video"]}} for row in rows]
        parquet.write_table(arrow.Table.from_pylist(inside), str(tmp_path / f"data/{name}.parquet"))
    found = read_list(tmp_path, tmp_path)
    assert [q.video for q in found.questions] == [row["video"] for row in ROWS]
    assert [q.split for q in found.questions] == ["train"] * 3 + ["validation"] * 2


def test_check_and_convert_and_diagnose_take_such_a_folder(arrow, tmp_path, capsys):
    rows = [{k: v for k, v in row.items() if k != "video"} | {"context": "text"} for row in ROWS]
    folder = save(arrow, tmp_path / "list", rows)
    assert cli.main(["check", str(folder)]) == 0
    out = tmp_path / "ours.jsonl"
    assert cli.main(["convert", str(folder), "--out", str(out)]) == 0
    assert len(jsonl.read_questions(out)) == len(ROWS)
    capsys.readouterr()
    assert cli.main(["diagnose", str(folder), "--out", str(tmp_path / "audit")]) == 0
    inputs = json.loads((tmp_path / "audit/run.json").read_text())["inputs"]
    assert list(inputs) == ["data-00000-of-00001.arrow"]


def test_what_is_wrong_with_a_folder_is_one_sentence(arrow, tmp_path, monkeypatch):
    folder = save(arrow, tmp_path / "list", ROWS)
    file = folder / "data-00000-of-00001.arrow"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(UserError, match="cannot be read as Arrow"):
        read_table(folder)
    file.unlink()
    with pytest.raises(UserError, match=r"\.arrow is missing, which state\.json"):
        read_table(folder)
    (folder / "state.json").write_text("{}")
    with pytest.raises(UserError, match=r"state\.json: names no files"):
        read_table(folder)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install pyarrow"):
        read_table(folder)


def test_a_split_lies_in_its_folder(arrow, tmp_path):
    save(arrow, tmp_path / "elsewhere", ROWS)
    folder = tmp_path / "list"
    folder.mkdir()
    (folder / "dataset_dict.json").write_text('{"splits": ["../elsewhere"]}')
    with pytest.raises(UserError, match=r"list/elsewhere/state\.json: names no files"):
        read_table(folder)


def test_a_column_that_python_cannot_hold_is_a_sentence(arrow, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "list.parquet"
    parquet.write_table(arrow.table({"id": arrow.array([1], arrow.timestamp("ns"))}), str(path))
    with pytest.raises(UserError, match=r"cannot be read as parquet .*Nanosecond"):
        read_table(path)


@pytest.mark.parametrize("packed", [True, False])
def test_rows_out_of_proportion_to_their_file_are_refused(arrow, tmp_path, monkeypatch, packed):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(rows_of, "ROOM", 1 << 20)
    path = tmp_path / "list.parquet"
    text = arrow.array(["What? " * 50] * 10_000)
    text = text.dictionary_encode() if packed else text
    parquet.write_table(arrow.table({"question": text}), str(path))
    with pytest.raises(UserError, match="more than 64 times the file"):
        read_table(path)
    parquet.write_table(arrow.table({"question": text[:1000]}), str(path))
    assert len(read_table(path).rows) == 1000


def many(arrow: Any, shape: str) -> Any:
    """An array of a few kilobytes whose rows take over ten megabytes, in ways of its own."""
    text = "What? " * 2000
    column = arrow.array([text]).dictionary_encode().take(arrow.array([0] * 1000))
    if shape == "in a list":
        return arrow.ListArray.from_arrays(arrow.array([0, 500, 1000]), column)
    if shape == "in a struct":
        return arrow.StructArray.from_arrays([column], ["said"])
    if shape == "a view":
        view = struct.pack("<i4sii", len(text), text[:4].encode(), 0, 0)
        buffers = [None, arrow.py_buffer(view * 1000), arrow.py_buffer(text.encode())]
        return arrow.Array.from_buffers(arrow.string_view(), 1000, buffers)
    if shape == "nothing but a count":
        return arrow.ListArray.from_arrays(arrow.array([0, 1 << 30]), arrow.nulls(1 << 30))
    if shape == "a run":
        return arrow.RunEndEncodedArray.from_arrays(arrow.array([1000], arrow.int32()), [text])
    return arrow.ListViewArray.from_arrays(
        arrow.array([0] * 1000, arrow.int32()), arrow.array([1] * 1000, arrow.int32()), [text]
    )


@pytest.mark.parametrize(
    "shape",
    ["in a list", "in a struct", "a view", "nothing but a count", "a run", "a list's view"],
)
def test_what_a_batch_takes_is_known_before_it_is_made(arrow, tmp_path, monkeypatch, shape):
    monkeypatch.setattr(rows_of, "ROOM", 1 << 20)
    folder = save(arrow, tmp_path / "list", ROWS)
    column = many(arrow, shape)
    table = arrow.table({"question": column})
    with arrow.ipc.new_stream(str(folder / "data-00000-of-00001.arrow"), table.schema) as file:
        file.write_table(table)
    with pytest.raises(UserError, match="more than 64 times the file"):
        read_table(folder)
    few = unpacked_bytes(arrow.array([["a"], ["b", None]]))
    assert few == sum(map(VALUE.__mul__, (2, 3))) + 2


def test_a_stream_whose_batches_are_packed_is_refused(arrow, tmp_path):
    """Of equal bytes a packed one is thousands of times as small."""
    folder = save(arrow, tmp_path / "list", ROWS)
    table = arrow.table({"question": ["What? " * 100_000] * 10})
    options = arrow.ipc.IpcWriteOptions(compression="zstd")
    path = folder / "data-00000-of-00001.arrow"
    with arrow.ipc.new_stream(str(path), table.schema, options=options) as file:
        file.write_table(table)
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match="its batches are compressed"):
        read_table(folder)
