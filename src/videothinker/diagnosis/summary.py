"""What a diagnosis says in numbers, computed from its records alone."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from videothinker.diagnosis.config import RULES
from videothinker.diagnosis.rules import disagreement
from videothinker.estimates import share, show
from videothinker.giveaways import AWAY, DEFINITION, UNKNOWN, part_of
from videothinker.records import Diagnosis, Question

PAPER_OBSERVATIONAL, PAPER_TOTAL = 13_674, 18_473
"""Observational of all counterfactual training questions (arXiv 2605.01324: 74.0 %)."""


def rule_counts(diagnoses: Sequence[Diagnosis], rules: Iterable[str]) -> dict[str, Any]:
    """Rule -> observational questions and questions it applies to; excluded ones are left out."""
    counted: dict[str, Any] = {}
    for rule in rules:
        values = [d.flags.get(rule) for d in diagnoses if d.label != "excluded"]
        applies = [value for value in values if value is not None]
        counted[rule] = {"observational": sum(applies), "questions": len(applies)}
    return counted


def matching_rule(counts: Mapping[str, Any]) -> str | None:
    """The rule that gives the paper's 13,674 of 18,473; None where none does."""
    paper = {"observational": PAPER_OBSERVATIONAL, "questions": PAPER_TOTAL}
    return next((rule for rule, found in counts.items() if found == paper), None)


def nearest_rule(counts: Mapping[str, Any]) -> str | None:
    """The rule whose share lies nearest to the paper's; None where no rule applies to anything."""
    paper = PAPER_OBSERVATIONAL / PAPER_TOTAL
    far = {
        rule: abs(found["observational"] / found["questions"] - paper)
        for rule, found in counts.items()
        if found["questions"]
    }
    return min(far, key=lambda rule: far[rule]) if far else None


def give_aways(diagnoses: Sequence[Diagnosis]) -> dict[str, Any]:
    """Label -> how many of its questions give themselves away, of how many it is known."""
    found: dict[str, Any] = {}
    for label in ("observational", "inferential"):
        told = [part_of(d) for d in diagnoses if d.label == label]
        known = len(told) - told.count(UNKNOWN)
        found[label] = {"questions": len(told), "known": known, "give_away": told.count(AWAY)}
    return found


def summarise(
    questions: Sequence[Question],
    diagnoses: Sequence[Diagnosis],
    rules: Sequence[str],
    problems: Sequence[str] = (),
) -> dict[str, Any]:
    """The summary of a diagnosis, ready for JSON.

    Args:
        questions: all questions.
        diagnoses: of those that were diagnosed.
        rules: the flags to count.
        problems: what was left out, in words.
    """
    split_of = {question.id: question.split for question in questions}
    splits: dict[str, list[Diagnosis]] = {}
    for diagnosis in diagnoses:
        splits.setdefault(split_of[diagnosis.question_id], []).append(diagnosis)
    by_split: dict[str, Any] = {}
    for split, group in splits.items():
        used = [d for d in group if d.label != "excluded"]
        counts = rule_counts(group, rules)
        logged = [rule for rule in RULES if rule in counts]
        from_logs = {rule: counts[rule] for rule in logged}
        by_split[split] = {
            "diagnosed": len(group),
            "excluded": len(group) - len(used),
            "observational": sum(d.label == "observational" for d in used),
            "gives_itself_away": give_aways(used),
            "rules": counts,
            "disagreement": {
                f"{one} / {other}": count
                for (one, other), count in disagreement([d.flags for d in used], logged).items()
            },
            "gives_the_papers_count": matching_rule(from_logs),
            "nearest_to_the_papers_share": nearest_rule(from_logs),
        }
    diagnosed = {diagnosis.question_id for diagnosis in diagnoses}
    others = Counter(q.type for q in questions if q.id not in diagnosed)
    return {
        "questions": len(questions),
        "types": dict(sorted(Counter(question.type for question in questions).items())),
        "not_diagnosed": dict(sorted(others.items())),
        "splits": by_split,
        "problems": list(problems),
    }


def lines(summary: Mapping[str, Any], rule: str) -> list[str]:
    """The summary for a person."""
    types = ", ".join(f"{count} {name}" for name, count in summary["types"].items())
    told = [f"{summary['questions']} questions: {types}"]
    if summary["not_diagnosed"]:
        others = ", ".join(f"{n} {name}" for name, n in summary["not_diagnosed"].items())
        told.append(f"not diagnosed (no log speaks of them, or beyond --limit): {others}")
    for split, found in summary["splits"].items():
        used = found["diagnosed"] - found["excluded"]
        told.append(
            f"{split}: {found['diagnosed']} diagnosed, {found['excluded']} of them excluded "
            f"(no correct choice, or nothing could be asked); label by {rule}: "
            f"{show(share(found['observational'], used))} observational"
        )
        told.append(f"  {_give_away_line(found['gives_itself_away'])}")
        told += _rule_lines(found)
        if found["nearest_to_the_papers_share"] is not None:
            told.append(f"  {paper_line(found, used)}")
    return told + _pair_lines(summary.get("minimal_pairs", {}))


def _give_away_line(found: Mapping[str, Any]) -> str:
    """Which share of each label gives itself away, or that it is not known."""
    begin = f"give themselves away ({DEFINITION}):"
    if not any(count["known"] for count in found.values()):
        return f"{begin} not known without event logs"
    told: list[str] = []
    for label, count in found.items():
        missing = count["questions"] - count["known"]
        if not count["questions"]:
            told.append(f"no question is {label}")
            continue
        if not count["known"]:
            told.append(f"of {label} not known")
            continue
        ending = f" and {missing} not known" if missing else ""
        told.append(f"{show(share(count['give_away'], count['known']))} of {label}{ending}")
    return f"{begin} {', '.join(told)}"


def _pair_lines(rules: Mapping[str, Any]) -> list[str]:
    """One line: how many of the minimal pairs' questions are observational under each rule."""
    told = [f"{rule} {found['observational']}" for rule, found in rules.items()]
    count = max((found["questions"] for found in rules.values()), default=0)
    ending = f"{count} questions in minimal pairs, observational under {', '.join(told)}"
    return [ending] if told else []


def _rule_lines(found: Mapping[str, Any]) -> list[str]:
    """One line a rule: its share, and on how many questions it differs from each of the rules."""
    rules = list(found["rules"])
    apart: dict[str, int] = found["disagreement"]
    told: list[str] = []
    for rule, count in found["rules"].items():
        text = show(share(count["observational"], count["questions"]))
        pairs = [apart.get(f"{rule} / {other}", apart.get(f"{other} / {rule}")) for other in rules]
        row = " ".join("     -" if differ is None else f"{differ:6}" for differ in pairs)
        told.append(f"  {rule:21} {text:46} {row if apart else ''}".rstrip())
    if apart:
        told.append("  (right: on how many questions a rule differs from each, in the same order)")
    return told


def paper_line(found: Mapping[str, Any], used: int) -> str:
    """Which rule, if any, gives the paper's count; `used` questions were counted here."""
    paper = f"the paper's {PAPER_OBSERVATIONAL} of {PAPER_TOTAL} (74.0 %)"
    if (rule := found["gives_the_papers_count"]) is not None:
        return f"{rule} gives {paper}"
    near = found["nearest_to_the_papers_share"]
    if used == PAPER_TOTAL:
        return f"no rule gives {paper}; {near} comes nearest"
    return f"not comparable with {paper}, here are {used}; the share of {near} comes nearest"
