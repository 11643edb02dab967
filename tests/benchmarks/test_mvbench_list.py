"""MVBench in the list of VideoThinker's authors."""

import json

from videothinker.benchmarks import mvbench_list


def test_the_list_is_the_whole(shared):
    found = mvbench_list.load(shared / "mvbench" / "questions.json")
    assert found.wrong_counts() == []
    assert (found.name, len(found.questions)) == ("mvbench", 4000)
    assert sum(q.clip is not None for q in found.questions) == 1000
    assert sum(len(q.choices) == 1 for q in found.questions) == 5
    raw = json.loads((shared / "mvbench" / "questions.json").read_text())
    for question, row in zip(found.questions, raw, strict=True):
        right = question.choices["ABCDEFG".index(question.answer[0])]
        assert right == row["answer"].strip() or row["answer"] in right
