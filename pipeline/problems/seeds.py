"""The seeds that results are averaged over: each once, and among them that of the graph's own models."""

from collections.abc import Iterator

from pipeline.problems.problem import Problem, listed
from pipeline.problems.values import Values


def seed_problems(values: Values) -> Iterator[Problem]:
    """Contradictions between `seed` and `seeds`; what is no number is left to the field's own problem."""
    written = values.raw("seeds")
    if not isinstance(written, list) or not written:
        return
    seeds = [seed for seed in written if type(seed) is int]
    repeated = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if repeated:
        yield Problem("seeds", f"{listed(repeated)} is written twice; the same training again is no evidence")
    seed = values.whole("seed")
    if seed is not None and len(seeds) == len(written) and seed not in seeds:
        yield Problem(
            "seeds", f"{listed(seeds)} are without seed {seed}, that of models/ and packed/; add it there"
        )
