"""What a frozen tower has seen is kept, whatever comes together; a tower in training sees anew."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from videothinker.models import videos
from videothinker.models.videos import FrozenVideos


class Tower:
    """Sees a number as that many rows of it; remembers what it was shown together."""

    def __init__(self, *, trains: bool) -> None:
        self.weight = nn.Linear(1, 1)
        self.weight.requires_grad_(trains)
        self.shown: list[list[int]] = []
        self.kept = FrozenVideos(self.weight)

    def see(self, given: Sequence[int]) -> Sequence[Tensor]:
        self.shown.append(list(given))
        whole = torch.cat([torch.full((number, 1), float(number)) for number in given])
        return self.weight(whole).split(list(given))

    def ask(self, *numbers: int) -> dict[str, Tensor]:
        return self.kept.get({str(number): number for number in numbers}, self.see)


def test_only_new_videos_are_seen_and_each_is_held_alone() -> None:
    tower = Tower(trains=False)
    first = tower.ask(1, 2, 3)
    again = tower.ask(3, 4, 1)
    assert tower.shown == [[1, 2, 3], [4]]
    assert again["3"] is first["3"]
    assert [len(again[name]) for name in ("3", "4", "1")] == [3, 4, 1]
    assert all(
        one.untyped_storage().nbytes() == one.nbytes for one in (*first.values(), again["4"])
    )
    assert not again["4"].requires_grad


def test_more_than_are_kept_are_given_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(videos, "KEPT", 2)
    tower = Tower(trains=False)
    assert list(tower.ask(1, 2, 3, 4)) == ["1", "2", "3", "4"]
    assert list(tower.kept.entries) == ["3", "4"]
    tower.ask(3)
    tower.ask(5)
    assert list(tower.kept.entries) == ["3", "5"]  # the one used last stays
    with torch.no_grad():
        tower.weight.weight.zero_()
    tower.ask(3)
    assert tower.shown[-1] == [3]
    assert list(tower.kept.entries) == ["3"]


def test_a_tower_in_training_sees_every_time() -> None:
    tower = Tower(trains=True)
    tower.ask(1, 2)
    found = tower.ask(1, 2)
    assert tower.shown == [[1, 2]] * 2
    assert not tower.kept.entries
    assert all(one.requires_grad for one in found.values())
