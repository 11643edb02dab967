"""One completion over real HTTP: what each way to fail is called, and where the key goes."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.chat_server import ChatServer, completion
from videothinker.errors import UserError
from videothinker.generation import chat
from videothinker.generation.chat import Refused, Reply, Server, Trouble

KEY = "sk-0123456789-very-secret"
BODY = {"model": "m", "messages": [{"role": "user", "content": "Which of two?"}], "seed": 1}


def ask(server: ChatServer, *, key: str | None = KEY, timeout: float = 30.0) -> Reply:
    return Server(f"{server.url}/chat/completions", key, timeout).complete(BODY)


def test_an_answer_comes_with_the_servers_count_of_tokens():
    with ChatServer(lambda body: "it is B") as server:
        assert ask(server) == Reply("it is B", False, 3, 3)
        ask(server, key=None)
    assert server.bodies == [BODY, BODY]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert "Authorization" not in server.headers[1]


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        ("slow", Trouble, "no answer within 0.3 s"),
        ("trickle", Trouble, "no answer within 0.3 s"),
        ("limit", Trouble, "429 Too Many Requests: too many requests"),
        ("error", Trouble, "500 Internal Server Error: the engine is dead"),
        ("close", Trouble, "it closed the connection without an answer"),
        ("html", Trouble, "its answer is not JSON ('<html>sign in</html>')"),
        ("refuse video", Refused, "400 Bad Request: at most 0 image(s) are taken"),
        ("nothing", Refused, "answered with nothing (finish_reason 'stop')"),
        ("unknown model", UserError, "404 Not Found: The model does not exist."),
        ("no key", UserError, "401 Unauthorized: it answers, but not with the key that was sent"),
    ],
)
def test_each_failure_is_told_apart(act, kind, words):
    with ChatServer(acts=lambda body, before: act) as server, pytest.raises(kind) as caught:
        ask(server, timeout=0.3 if act in ("slow", "trickle") else 30)
    assert words in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_server_that_is_down_cannot_be_reached():
    with ChatServer() as server:
        pass
    with pytest.raises(Trouble, match=r"it cannot be reached \(Connection refused\)"):
        ask(server)


def test_a_redirect_is_not_followed_so_the_key_stays():
    with ChatServer() as other, ChatServer(acts=lambda body, before: "redirect") as server:
        server.elsewhere = f"{other.url}/chat/completions"
        with pytest.raises(UserError, match=r"sends on to 127\.0\.0\.1, which is not followed"):
            ask(server)
    assert other.bodies == []


def test_a_key_that_comes_back_is_taken_out():
    with ChatServer(lambda body: f"key {KEY}", lambda body, before: "echo key") as server:
        with pytest.raises(Refused, match=r"odd header Bearer \*\*\*"):
            ask(server)
        server.acts = lambda body, before: "answer"
        assert ask(server).text == "key ***"
    assert KEY not in repr(Server("http://h/v1", KEY, 1.0))


@pytest.mark.parametrize("after", ["7", None, "soon"])
def test_retry_after_is_read_in_seconds(after):
    with ChatServer(acts=lambda body, before: "limit", after=after) as server:
        with pytest.raises(Trouble) as caught:
            ask(server)
        assert caught.value.after == (7.0 if after == "7" else None)
        assert caught.value.limited
        server.after = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
        with pytest.raises(Trouble) as caught:
            ask(server)
        assert caught.value.after == pytest.approx(39.5, abs=1.5)


@pytest.mark.parametrize(
    ("message", "ending", "text", "truncated"),
    [
        ({"content": "<answer>A</answer>"}, "length", "<answer>A</answer>", True),
        ({"content": None}, "length", "", True),
        (
            {"content": "<answer>A</answer>", "reasoning_content": " so "},
            "stop",
            "<think>so</think><answer>A</answer>",
            False,
        ),
        ({"content": None, "reasoning": "still"}, "length", "<think>still", True),
        ({"content": "half \ud800"}, "stop", "half ?", False),
        (
            {"content": [{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]},
            "stop",
            "in parts",
            False,
        ),
    ],
)
def test_endings_and_thinking_apart(message, ending, text, truncated):
    told = completion(BODY, "")
    told["choices"][0] |= {"message": message, "finish_reason": ending}
    del told["usage"]
    with ChatServer(reply=told) as server:
        assert ask(server) == Reply(text, truncated, None, None)


CUT = {"choices": [{"message": {"content": [{"type": "text"}]}}]}


@pytest.mark.parametrize(
    "told", [[], {}, {"choices": []}, {"choices": [{"message": None}]}, CUT, 3]
)
def test_json_that_is_no_completion(told):
    with (
        ChatServer(reply=told) as server,
        pytest.raises(Trouble, match="its answer is no chat completion"),
    ):
        ask(server)


def test_an_endless_answer_is_cut(monkeypatch):
    monkeypatch.setattr(chat, "LARGEST", 1000)
    with ChatServer(lambda body: "x" * 100_000) as server, pytest.raises(Trouble, match="longer"):
        ask(server)


def test_words_of_a_server_cannot_steer_a_terminal():
    evil = {"error": {"message": "\x1b[2J" + "long " * 1000}}
    with ChatServer(reply=evil) as server, pytest.raises(Trouble) as caught:
        ask(server)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 200
