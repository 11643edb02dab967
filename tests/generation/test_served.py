"""Many requests to a real server on the loopback: at once, again, held back, and never twice."""

import time

import pytest
import torch

from tests.chat_server import ChatServer, words
from videothinker.answering.served import EndpointModel
from videothinker.errors import UserError
from videothinker.generation.base import Sampling, generate
from videothinker.generation.chat import Server
from videothinker.generation.served import ServerPace

ONE = Sampling(num_generations=1, max_completion_length=9)


def model(server: ChatServer, **changes: object) -> EndpointModel:
    values = {"requests": 4, "retries": 2, "pace": ServerPace(pause=0.01), **changes}
    timeout = values.pop("timeout", 30.0)
    return EndpointModel(
        name="m",
        server=Server(f"{server.url}/chat/completions", None, timeout),
        input="images",
        **values,
    )


def prompts(one: EndpointModel, count: int) -> list:
    return [one.encode(f"question {i}") for i in range(count)]


def echo(body: dict) -> str:
    return f"{words(body)} {body.get('seed')}"


def test_completions_stand_in_the_order_of_prompts_each_with_its_seed():
    hot = Sampling(num_generations=3, max_completion_length=7, temperature=0.5, top_p=0.9)
    with ChatServer(echo) as server:
        one = model(server)
        groups = generate(one, prompts(one, 2), hot, [5, 2**31 + 1])
    assert [one.decode(group) for group in groups] == [
        ["question 0 5", "question 0 6", "question 0 7"],
        ["question 1 1", "question 1 2", "question 1 3"],  # seeds modulo 2**31
    ]
    assert [group.prompt.prompt_tokens for group in groups] == [2, 2]
    assert not torch.cat([group.truncated_G for group in groups]).any()
    (settings,) = {
        tuple(sorted((k, v) for k, v in body.items() if k not in ("messages", "seed")))
        for body in server.bodies
    }
    assert dict(settings) == {"model": "m", "max_tokens": 7, "temperature": 0.5, "top_p": 0.9}


def test_as_many_requests_at_once_as_were_allowed():
    """12 answers of 0.5 s each, 4 at once: 1.5 s, and 6 s one after the other."""
    with ChatServer(echo, delay=0.5) as server:
        one = model(server)
        began = time.monotonic()
        generate(one, prompts(one, 12), ONE, range(12))
        taken = time.monotonic() - began
    assert server.most == 4
    assert 1.5 <= taken < 5.5


def test_what_is_known_is_not_asked_again():
    with ChatServer(echo) as server:
        one = model(server)
        first = generate(one, prompts(one, 3), ONE, range(3))
        again = generate(one, prompts(one, 4), ONE, range(4))
        assert len(server.bodies) == 4
        generate(one, prompts(one, 1), Sampling(num_generations=1, temperature=0.5), [0])
        generate(one, prompts(one, 1), ONE, [1])
        assert len(server.bodies) == 6  # another temperature, another seed
    assert [one.decode(a) for a in first] == [one.decode(a) for a in again[:3]]


@pytest.mark.parametrize("act", ["limit", "error", "close", "html", "slow"])
def test_trouble_that_passes_is_waited_for(act):
    with ChatServer(echo, lambda body, before: act if before < 2 else "answer") as server:
        one = model(server, requests=1, timeout=1.0 if act == "slow" else 30.0)
        (group,) = generate(one, prompts(one, 1), ONE, [0])
    assert one.decode(group) == ["question 0 0"]
    assert (len(server.bodies), one.pace.again) == (3, 2)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ("limit", r"429 .* \(asked 3 times\); lower --endpoint-requests or wait"),
        ("error", r"500 Internal Server Error: the engine is dead \(asked 3 times\); look"),
        ("close", r"closed the connection without an answer \(asked 3 times\)"),
        ("html", r"not JSON .* \(asked 3 times\); check that its URL"),
        ("slow", r"no answer within 0.2 s \(asked 3 times\); raise --endpoint-timeout"),
        ("no key", "401 Unauthorized: it answers, but not without a key"),
    ],
)
def test_trouble_that_stays_is_one_sentence(act, words):
    with ChatServer(echo, lambda body, before: act) as server:
        one = model(server, requests=2, timeout=0.2 if act == "slow" else 30.0)
        with pytest.raises(UserError, match=words) as caught:
            generate(one, prompts(one, 5), ONE, range(5))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(server.url)


def test_answers_that_came_before_the_trouble_are_kept():
    with ChatServer(echo, lambda body, before: "answer" if before < 3 else "no key") as server:
        one = model(server, requests=1)
        with pytest.raises(UserError, match="401"):
            generate(one, prompts(one, 5), ONE, range(5))
        assert len(one.replies) == 3
        server.acts = lambda body, before: "answer"
        generate(one, prompts(one, 5), ONE, range(5))
    assert [words(body) for body in server.bodies] == [f"question {i}" for i in (0, 1, 2, 3, 3, 4)]


def test_nobody_asks_while_the_server_wants_quiet():
    """One 429 with Retry-After: 1 holds all four threads."""
    acts = ["answer", "limit"]
    with ChatServer(echo, lambda body, before: acts[before == 0], delay=0.2, after="1") as server:
        one = model(server)
        generate(one, prompts(one, 12), ONE, range(12))
    assert len(server.times) == 13
    assert min(server.times[4:]) > server.times[0] + 0.9


def test_a_day_of_waiting_stops_the_run():
    with ChatServer(echo, lambda body, before: "limit", after="86400") as server:
        one = model(server)
        with pytest.raises(UserError, match="wait 86,400 s"):
            generate(one, prompts(one, 1), ONE, [0])


def test_a_rate_limit_is_no_reason_to_give_up_while_others_are_answered():
    """Two of three requests come too early: far more than `retries` of them for some."""
    with ChatServer(echo, lambda body, before: "limit" if before % 3 else "answer") as server:
        one = model(server, requests=8, retries=3, pace=ServerPace(pause=0.02))
        groups = generate(one, prompts(one, 30), ONE, range(30))
    assert [one.decode(g)[0].split()[1] for g in groups] == [str(i) for i in range(30)]


@pytest.mark.parametrize("act", ["error", "refuse video", "nothing"])
def test_a_request_that_alone_fails_is_named_and_the_others_are_answered(act):
    def acts(body: dict, before: int) -> str:
        return act if "question 1" in words(body) else "answer"

    with ChatServer(echo, acts) as server:
        one = model(server)
        groups = generate(one, prompts(one, 3), ONE, range(3))
    assert [sorted(group.errors) for group in groups] == [[], [0], []]
    assert ("though it answers other requests" in groups[1].errors[0]) == (act == "error")
    assert one.decode(groups[2]) == ["question 2 2"]


def test_the_newer_name_of_the_limit_is_learnt_once():
    def acts(body: dict, before: int) -> str:
        return "refuse video" if "max_tokens" in body else "answer"

    with ChatServer(echo, acts) as server:
        server.refusal = "use 'max_completion_tokens' instead"
        one = model(server, requests=1)
        groups = generate(one, prompts(one, 3), ONE, range(3))
    assert not any(group.errors for group in groups)
    assert ["max_tokens" in body for body in server.bodies] == [True, False, False, False]
    assert server.bodies[-1]["max_completion_tokens"] == 9
