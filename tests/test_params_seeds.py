"""seeds and evaluation.selection in params.yaml: what is refused, by field and value, and what is not."""

from pathlib import Path

import pytest
from made_up import params

from pipeline.params_file import ParamsError


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("seeds=[1,2]",), "seeds: 1, 2 lack seed 0"),
        (("seed=3", "seeds=[0]"), "seeds: 0 lack seed 3"),
        (("seeds=[0,1,1]",), "seeds: 1 is written twice"),
        (("seeds=[]",), "seeds: "),
        (("seeds=[0,-1]",), "seeds[1]: -1 is not allowed; expected a whole number from 0 to 4294967295"),
        (("seeds=[0,true]",), "seeds[1]: true is true or false"),
        (("evaluation.selection=test",), "evaluation.selection: "),
    ],
)
def test_seeds_that_cannot_be_are_refused(tmp_path: Path, overrides: tuple[str, ...], said: str) -> None:
    with pytest.raises(ParamsError) as caught:
        params(tmp_path, *overrides)
    [problem] = caught.value.problems
    assert problem.startswith(said)


def test_several_seeds_one_of_them_the_graphs_own(tmp_path: Path) -> None:
    found = params(tmp_path, "seed=1", "seeds=[0,1,2]", "evaluation.selection=validation")
    assert (found.seed, found.seeds, found.evaluation.selection) == (1, [0, 1, 2], "validation")


def test_a_seed_given_alone_is_the_only_one(tmp_path: Path) -> None:
    assert params(tmp_path, "seed=3").seeds == [3]
