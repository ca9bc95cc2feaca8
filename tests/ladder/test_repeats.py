"""What other seeds cost: as much as the ladder itself, for each of them, and one copy of every model."""

from pathlib import Path

import pytest
from made_up import params

from pipeline.ladder.cost import Rehearsed, Rows, costs
from pipeline.ladder.repeats import repeats

KIND = Rehearsed(0.5, 0.0, 1.0, 500.0, None, threads=1, steps=20, pack_seconds=3.0)
ROWS = Rows(5400, 16200, 600, 1000, 1000, 0.0, (800, 64), "made", {"32": 15.0})


def test_each_other_seed_takes_as_long_as_the_ladder(tmp_path: Path) -> None:
    found = params(tmp_path, "seeds=[0,1,2]")
    names = ("teacher", *found.rungs)
    own = costs(found, dict.fromkeys((*names, "pretrained"), KIND), ROWS, copies=2)
    first, second = repeats(found, own, scoring_seconds=7.0)
    assert (first.seed, first.stage, second.stage) == (1, "repeat@1", "repeat@2")
    assert first.models == len(names)
    trained = sum(own[name].seconds or 0 for name in names)
    packed = sum(own[name].pack_seconds or 0 for name in found.deliver)
    assert first.seconds == second.seconds == pytest.approx(trained + packed + 7.0)


def test_one_copy_of_each_model_lies_on_disk(tmp_path: Path) -> None:
    found = params(tmp_path, "seeds=[0,1]")
    own = costs(found, {}, None, copies=1)
    [one] = repeats(found, own, None)
    kept = sum(own[name].disk_mib or 0 for name in ("teacher", *found.rungs))
    assert one.disk_mib is not None
    assert 0.5 * kept < one.disk_mib < kept  # MLflow's copies of the packed files are left out


def test_one_seed_is_not_repeated_and_what_is_not_measured_is_not_guessed(tmp_path: Path) -> None:
    found = params(tmp_path)
    assert repeats(found, costs(found, {}, None, copies=1), 1.0) == []
    found = params(tmp_path, "seeds=[0,1]")
    assert repeats(found, costs(found, {}, None, copies=1), 1.0)[0].seconds is None
