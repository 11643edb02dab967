"""Chat templates: the same text as the library's own rendering, and no end without a bound."""

import os
import resource
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoTokenizer

from tests.models.qwen2_5_vl.test_model_folder import TEMPLATE as OFFICIAL
from videothinker.errors import UserError
from videothinker.models import templates
from videothinker.models.qwen2_5_vl.small import CHAT_TEMPLATE
from videothinker.models.templates import chat_text

TRIMMING = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>\n {% if m.content is string %}"
    "{{ m.content | trim }}{% else %}{% for p in m.content %}{% if p.type == 'text' %}"
    "{{ p.text | trim }}{% else %}<{{ p.type }}>{% endif %}{% endfor %}{% endif %} \n{% endfor %}"
    "{% generation %}{{ eos_token }}{% endgeneration %}"
)
"""Strips the words, with white space of its own around them, and the library's own extension."""
LISTED = (
    "{% for m in messages %}{{ m.role }}:{% for p in m.content if p.type == 'video' %}<video>"
    "{% endfor %}{% for p in m.content if p.type == 'text' %}{{ p.text }}{% endfor %};{% endfor %}"
)
SYSTEM_LAST = (
    "{{ messages[-1].content[-1].text }}/{{ messages[0].content if messages | length > 1 }}"
)


@pytest.fixture
def _in_a_python_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user has it, where other tests have it rendered by a fork."""
    monkeypatch.setattr(templates, "subprocess", subprocess)


@pytest.fixture
def tokenizer(tiny_folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_folder)


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, OFFICIAL, TRIMMING, LISTED, SYSTEM_LAST])
@pytest.mark.parametrize("words", [("Who?", "Be brief."), ("\t a\n ", "\n\n<b>{{ x }}"), ("", "")])
def test_a_prompt_is_what_the_library_renders(
    tokenizer: Any, template: str, words: tuple[str, str]
) -> None:
    tokenizer.chat_template = template
    listed = template == LISTED
    for video in (False, True):
        for system in (None, words[1]):
            parts = [{"type": "video"}] * video + [{"type": "text", "text": words[0]}]
            messages: list[dict[str, Any]] = [{"role": "user", "content": parts}]
            if system is not None:
                said = [{"type": "text", "text": system}] if listed else system
                messages.insert(0, {"role": "system", "content": said})
            assert chat_text(
                tokenizer, words[0], video=video, system=system, listed=listed
            ) == tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def asked(template: object) -> str:
    tokenizer = SimpleNamespace(chat_template=template, special_tokens_map={"eos_token": "<end>"})
    return chat_text(tokenizer, "Who?", video=False)


@pytest.mark.usefixtures("_in_a_python_of_its_own")
def test_named_templates_have_a_default() -> None:
    assert asked({"default": "{{ messages[0].content[0].text }}", "tools": "x"}) == "Who?"
    for without in ({"tools": "x"}, None, 7):
        with pytest.raises(UserError, match="no chat template"):
            asked(without)


DOUBLING = "{% set n = namespace(a='x') %}{% for i in range(60) %}{% set n.a = n.a * 2 %}"


@pytest.mark.usefixtures("_in_a_python_of_its_own")
def test_a_template_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one operation, which no signal handler of Python's interrupts."""
    monkeypatch.setattr(templates, "CPU_SECONDS", 1)
    refuses("{{ 9 ** (9 ** 9) }}", "did not end within 1 s of computing")


@pytest.mark.usefixtures("_in_a_python_of_its_own")
@pytest.mark.parametrize(
    ("template", "said"),
    [
        (DOUBLING + "{% endfor %}{{ n.a }}", "fails .MemoryError"),
        ("{{ 'x' * 200000 }}{{ messages[0].content[0].text }}", "100,001 characters around"),
    ],
)
def test_what_a_template_makes_is_bounded(template: str, said: str) -> None:
    """Under the limit of time that ships: a busy machine takes its time to fill the memory."""
    refuses(template, said)


def refuses(template: str, said: str) -> None:
    with pytest.raises(UserError, match=f"the chat template .*{said}.*; take the template from"):
        asked(template)


def test_each_form_may_fail_in_its_own_way(tokenizer: Any) -> None:
    tokenizer.chat_template = (
        "{% macro f(n) %}{{ f(n) }}{% endmacro %}"
        "{% set video = messages[-1].content | length > 1 %}"
        "{% if messages | length > 1 %}{% if video %}{{ f(1) }}"
        "{% else %}{{ raise_exception('no system') }}{% endif %}"
        "{% elif video %}{{ ''.__class__.__mro__ }}{% else %}{{ messages[0].no.where }}{% endif %}"
    )
    for video, system, said in (
        (True, "Be brief.", "RecursionError"),
        (False, "Be brief.", "TemplateError: no system"),
        (True, None, "SecurityError"),
        (False, None, "UndefinedError"),
    ):
        with pytest.raises(UserError, match=f"the chat template fails .{said}"):
            chat_text(tokenizer, "Who?", video=video, system=system)


@pytest.mark.parametrize("text", ["", "{0}{0}", "QZUSERWORDSQZ", "{0}" + "x" * 100_000])
def test_a_prompt_that_is_not_around_the_words(text: str) -> None:
    assert isinstance(templates._cut(text.format(templates.USER), system=False), str)


def test_one_form_may_fail_and_the_others_serve(tokenizer: Any) -> None:
    tokenizer.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{{ messages[0].content[-1].text }}"
    )
    assert chat_text(tokenizer, "Who?", video=False) == "Who?"
    with pytest.raises(UserError, match="no system"):
        chat_text(tokenizer, "Who?", video=False, system="Be brief.")


def test_a_lower_limit_of_whoever_started_us_stays() -> None:
    """A limit cannot be raised again, so a process of its own meets it."""
    pid = os.fork()
    if pid == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (900, 1000))
            templates._hold(resource.RLIMIT_CPU, 2000, 3000)
            os._exit(resource.getrlimit(resource.RLIMIT_CPU) != (1000, 1000))
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
