"""A Python module that lies in the working folder, beside a stranger's data, is not run."""

import subprocess
import sys
from pathlib import Path

from tests.answering_toys import ask_about, write_video
from videothinker.records import write_jsonl

PLANTED = ("av", "json", "jinja2", "msgspec", "multiprocessing", "numpy", "pickle", "transformers")
CODE = """
from types import SimpleNamespace
from videothinker.cli import main
from videothinker.models.templates import chat_text
from videothinker.shipped import shipped
template = (shipped("models/base-video") / "chat_template.jinja").read_text()
tokenizer = SimpleNamespace(chat_template=template, special_tokens_map={})
assert "What?" in chat_text(tokenizer, "What?", video=False)
assert main(["check", "q.jsonl", "--decode"]) == 0
small = ["--scenes", "2", "--validation-scenes", "0", "--frames", "0", "--give-aways", "allowed"]
assert main(["world", "--out", "w", "--workers", "2", *small]) == 0
"""


def test_no_stage_runs_one(tmp_path: Path) -> None:
    """Decoder, chat template and workers are Pythons of their own; so is a grid's cell."""
    write_video(tmp_path / "a.mp4", 0)
    write_jsonl(tmp_path / "q.jsonl", [ask_about(n, "a.mp4") for n in range(2)])
    for name in PLANTED:
        (tmp_path / f"{name}.py").write_text("open('ran', 'a').write(__name__)")
    done = subprocess.run(
        [sys.executable, "-P", "-c", CODE],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()
