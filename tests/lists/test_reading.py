"""Real lists, where they are: the reader of any shape says what a list's own loader says."""

import pytest

from videothinker.benchmarks import catalog
from videothinker.lists.reading import read_list


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("mvbench-list", "mvbench/questions.json"),
        ("video-holmes-list", "video-holmes/questions.json"),
    ],
)
def test_a_published_list_is_read_as_its_own_loader_reads_it(shared, name, place):
    path = shared / place
    wanted = [(q.choices, q.answer) for q in catalog.load(name, path).questions]
    found = read_list(path, path.parent)
    wrong = {problem.number for problem in found.problems}
    here = [(q.choices, q.answer) for q in found.questions]
    assert here == [one for i, one in enumerate(wanted, 1) if i not in wrong]
    known = ("comes 2 times", "has a single choice")
    assert all(any(one in problem.what for one in known) for problem in found.problems)
