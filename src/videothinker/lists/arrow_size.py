"""How much the rows of an Arrow batch take once they are Python's, before any is made.

A small file can hold rows that are many times as large: equal values that are stored once, values
that are nothing but a count, buffers that are packed. What is told here is at least what comes.
"""

import importlib
import struct
from pathlib import Path
from typing import Any

VALUE = 32
"""Bytes that a value takes in Python beside what it holds."""
RECORD_BATCH, DICTIONARY_BATCH = 3, 2
"""Kinds of a message's header, by Arrow's `Message.fbs`."""
KIND, HEADER = 1, 2
"""Fields of a `Message`."""
DATA, COMPRESSION = 1, 3
"""Fields of a `DictionaryBatch` and of a `RecordBatch`."""


def unpacked_bytes(array: Any) -> int:
    """Bytes of an array's values in Python: a value stored once counts wherever it stands."""
    arrow = importlib.import_module("pyarrow")
    kind, types = array.type, arrow.types
    if isinstance(array, arrow.ExtensionArray):
        return unpacked_bytes(array.storage)
    own = VALUE * len(array)
    if types.is_dictionary(kind) and (lengths := _lengths(array.dictionary)) is not None:
        return own + _sum(lengths.take(array.indices))
    parts = _parts(array, types)
    if parts is None:
        lengths = _lengths(array)
        return own + (array.nbytes if lengths is None else _sum(lengths))
    one_each = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_map)
    once = types.is_struct(kind) or any(is_one(kind) for is_one in one_each)
    # of other kinds all places may hold one value
    return own + (1 if once else len(array)) * sum(unpacked_bytes(part) for part in parts)


def _parts(array: Any, types: Any) -> list[Any] | None:
    """The arrays that an array is made of; None where it is made of values."""
    kind = array.type
    if types.is_struct(kind) or types.is_union(kind):
        return [array.field(i) for i in range(kind.num_fields)]
    if types.is_dictionary(kind):
        return [array.dictionary]
    return [array.values] if types.is_nested(kind) or types.is_run_end_encoded(kind) else None


def _lengths(array: Any) -> Any:
    """The length of each of its strings, in bytes; None where it holds no strings."""
    arrow = importlib.import_module("pyarrow")
    kind, types = array.type, arrow.types
    if types.is_string_view(kind) or types.is_binary_view(kind):  # a view begins with its length
        words = struct.unpack_from(f"<{4 * len(array)}i", array.buffers()[1], 16 * array.offset)
        return arrow.array(words[::4], arrow.int64())
    strings = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    if not any(is_one(kind) for is_one in strings):
        return None
    return importlib.import_module("pyarrow.compute").binary_length(array)


def _sum(lengths: Any) -> int:
    return importlib.import_module("pyarrow.compute").sum(lengths.cast("int64")).as_py() or 0


def is_packed(path: Path) -> bool:
    """Are batches of a stream compressed? Then nothing tells what they take until they are not."""
    arrow = importlib.import_module("pyarrow")
    with arrow.memory_map(str(path)) as file:
        for message in arrow.ipc.MessageReader.open_stream(file):
            header = message.metadata.to_pybytes()
            table = _table(header, 0)
            kind = header[at] if (at := _field(header, table, KIND)) else 0
            if kind not in (RECORD_BATCH, DICTIONARY_BATCH):
                continue
            batch = _table(header, _field(header, table, HEADER))
            if kind == DICTIONARY_BATCH:
                batch = _table(header, _field(header, batch, DATA))
            if _field(header, batch, COMPRESSION):
                return True
    return False


def _table(header: bytes, at: int) -> int:
    """Where the flatbuffer's table begins to which the offset at a place points."""
    return at + struct.unpack_from("<I", header, at)[0]


def _field(header: bytes, table: int, number: int) -> int:
    """Where a table's field stands; 0 where it has none."""
    entries = table - struct.unpack_from("<i", header, table)[0]
    place = 4 + 2 * number
    if place >= struct.unpack_from("<H", header, entries)[0]:
        return 0
    offset = struct.unpack_from("<H", header, entries + place)[0]
    return table + offset if offset else 0
