"""A Python module that lies in the working folder, beside a stranger's data, is not run."""

import subprocess
import sys
import textwrap
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
    """Decoder, chat template and workers are Pythons of their own."""
    theirs, script = tmp_path / "theirs", tmp_path / "script.py"
    theirs.mkdir()
    script.write_text(f"if __name__ == '__main__':\n{textwrap.indent(CODE, '    ')}")
    write_video(theirs / "a.mp4", 0)
    write_jsonl(theirs / "q.jsonl", [ask_about(n, "a.mp4") for n in range(2)])
    for name in PLANTED:
        (theirs / f"{name}.py").write_text("open('ran', 'a').write(__name__)")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=theirs, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not (theirs / "ran").exists()
