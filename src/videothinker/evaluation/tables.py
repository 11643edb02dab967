"""Numbers as lines of text: accuracy never without its n, its interval, its floors."""

from collections.abc import Mapping, Sequence
from typing import Any

from videothinker import break_even
from videothinker.console import columns
from videothinker.estimates import between, percent
from videothinker.giveaways import AWAY, DEFINITION

HEAD = (
    *("", "strict", "95 % interval", "lenient", "own rule", "n", "videos"),
    *("unparsed", "always A", "random", "blind"),
)
"""`own rule` stands only where the benchmark's authors publish one and it was asked their way."""


def _interval(estimate: Mapping[str, Any]) -> str:
    return between(estimate["low"], estimate["high"])


def _line(line: Mapping[str, Any]) -> tuple[str, ...]:
    exact, blind, own = line["exact"], line["blind"], line["own rule"]
    lost = line["unparsed"] + line["truncated"] + line["failed"]
    return (
        line["group"],
        percent(exact["value"]),
        _interval(exact),
        percent(line["lenient"]),
        percent(own and own["value"]),
        f"{exact['n']:,}",
        f"{exact['clusters']:,}",
        percent(lost),
        percent(line["always A"]),
        percent(line["random"]),
        percent(None if blind is None else blind["value"]),
    )


def _needed(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the video adds, where the questions were asked without it too."""
    known = [line for line in lines if line["visual gain"] is not None]
    if not known:
        return []
    rows = [("does it need the video?", "Blind Gap", "95 %", "Visual Gain", "95 %", "n")]
    for line in known:
        gap, gain = line["blind gap"], line["visual gain"]
        numbers = (percent(gap["value"]), _interval(gap), percent(gain["value"]), _interval(gain))
        rows.append((line["group"], *numbers, f"{gain['n']:,}"))
    return [
        *columns(rows),
        "Blind Gap: blind minus random (a guess as the prompt allows it)",
        "Visual Gain: with the video minus blind",
    ]


def _span(span: Sequence[int]) -> str:
    low, high = span
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _without_simulating(found: Mapping[str, Any]) -> list[str]:
    """What accuracy has to be held against, where the questions were audited."""
    told = ", ".join(f"{name} {percent(one['value'])}" for name, one in found.items())
    return [f"a rule that reads the premise and simulates nothing gets: {told}"] if told else []


def render(summary: Mapping[str, Any]) -> list[str]:
    """The evaluation's tables as lines of text, title first."""
    lines = summary["lines"]
    everything = lines[0]
    title = (
        f"{summary['benchmark']}, protocol {summary['protocol']['key']}, {summary['tier']} tier, "
        f"variant {summary['variant']}; percent of questions answered exactly"
    )
    rows = [HEAD, *(_line(line) for line in lines)]
    own = everything["own rule"]
    if own is None:
        place = HEAD.index("own rule")
        rows = [(*row[:place], *row[place + 1 :]) for row in rows]
    found = [title, *columns(rows)]
    if any(line["group"] == f"inferential, {AWAY}" for line in lines):
        found.append(f"{AWAY}: {DEFINITION}, so that describing leaves nothing to choose")
    found += _needed(lines)
    letters = "any letters" if summary["protocol"]["several"] else "one letter"
    found.append(f"random is a guess of {letters}, as the prompt allows")
    found.append(
        f"unparsed is the sum of: in another form {percent(everything['unparsed'])}, cut off by "
        f"--max-new-tokens {percent(everything['truncated'])}, failed video "
        f"{percent(everything['failed'])}"
    )
    found.append(
        "format is one <think> and one <answer> block and nothing beside them, whatever they hold"
    )
    if summary["own rule"] is not None:
        found.append(f"the benchmark's own rule: {summary['own rule']}")
    if own is not None:
        found.append(
            f"of all answers its authors would ask a judge about {percent(own['judge'])} % and "
            f"leave {percent(own['left_out'])} % out of the denominator"
        )
    rows = [("also", "value", "95 % interval", "n")]
    others = {f"variant {k}": v for k, v in summary["variants"].items() if k != summary["variant"]}
    for name, estimate in {**summary["scores"], **others}.items():
        rows.append((name, percent(estimate["value"]), _interval(estimate), f"{estimate['n']:,}"))
    found += columns(rows)
    found += _without_simulating(summary.get("without simulating", {}))
    shown = ", ".join(f"{name} {_span(span)}" for name, span in summary["shown"].items())
    found.append(f"shown to the model: {shown or 'nothing'}")
    for kind, count in summary["needs_judge"].items():
        found.append(f"needs a judge: {count:,} ({kind}), not scored here")
    for why, count in summary["left_out"].items():
        found.append(f"left out: {count:,} ({why})")
    if summary.get("compared"):
        difference = summary["compared"]["difference"]
        found += [
            f"take care: {key} there is another protocol; numbers of two are not comparable"
            for key in summary["compared"]["protocols"]
            if key != summary["protocol"]["key"]
        ]
        found.append(
            f"this run minus {summary['compared']['with']}: {percent(difference['value'])} points, "
            f"95 % {_interval(difference)}, on {difference['n']:,} common questions"
        )
        if ways := summary["compared"].get("ways"):
            found += break_even.lines(ways, str(summary["compared"]["with"]))
    return found
