"""Seeds do not collide and generators repeat."""

from videothinker.seeds import derive, numpy_generator


def test_every_part_of_a_seed_matters() -> None:
    seeds = {
        derive(s, stage, step, item)
        for s in (0, 1)
        for stage in ("a", "b")
        for step in (0, 1)
        for item in ("x", "y", 0)
    }
    assert len(seeds) == 24
    assert derive(0, 1) != derive(0, "1")
    assert derive(0, "train", 3, "q") == 92734664718449055


def test_generators_repeat() -> None:
    first, again = (numpy_generator(3, "x").random(4).tolist() for _ in range(2))
    assert first == again
