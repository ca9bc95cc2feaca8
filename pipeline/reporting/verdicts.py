"""Claims in words and figures: for the terminal, the report and the cards.

How they are judged is in `pipeline.evaluation.claims`; nothing is judged here.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.claim_kinds import qualified
from pipeline.reporting.numbers import number

Claim = Mapping[str, Any]


def lines(results: Mapping[str, Any], score_name: str) -> list[str]:
    """A line for each claim, then the rules they were judged by; nothing where nothing is claimed."""
    found = results["claims"]
    if not found:
        return []
    rules = dict.fromkeys(claim["rule"] for claim in found if claim["measure"])
    return [
        *(f"{verdict(claim)}: {sentence(claim, score_name)}" for claim in found),
        *(f"A claim {rule}." for rule in rules),
    ]


def verdict(claim: Claim) -> str:
    """With what else the rungs differ in: `holds (unequal steps)`."""
    return qualified(claim["verdict"], claim["unequal"] if claim["measure"] else ())


def sentence(claim: Claim, score_name: str) -> str:
    """What is claimed, its figures, and what they rest on."""
    return f"{claim['statement']}. {figures(claim, score_name)}; {rests_on(claim)}."


def figures(claim: Claim, score_name: str) -> str:
    """`accuracy 0.9380 against 0.8640, difference +0.0740 ± 0.0189 (95 %)`, and which rung has collapsed."""
    same = [f"{name} gives one answer to all rows" for name in claim["collapsed"]]
    return "; ".join([_measured(claim, score_name), *same])


def _measured(claim: Claim, score_name: str) -> str:
    if claim["measure"] is None:
        return f"{score_name} is {claim['score_is']}, and accuracy does not serve either"
    better, worse = (number(claim["values"][name]) for name in claim["rungs"])
    difference = f"{number(claim['difference'], sign='+')} ± {number(claim['margin'])}"
    return f"{measure(claim, score_name)} {better} against {worse}, difference {difference} (95 %)"


def measure(claim: Claim, score_name: str) -> str:
    """What was measured; accuracy stands in for a score that is undefined, and where that is."""
    if claim["measure"] == "score" or score_name == "accuracy":
        return score_name
    return f"{claim['measure']} ({score_name} is {claim['score_is']})"


def rests_on(claim: Claim) -> str:
    """Number of examples and of seeds."""
    seeds = {0: "no seed", 1: "one seed"}.get(claim["num_seeds"], f"{claim['num_seeds']} seeds")
    return f"{claim['num_examples']:,} examples, {seeds}"


def steps(claim: Claim) -> str:
    """Steps from the teacher on, of both rungs."""
    counts = [claim["total_steps"][name] for name in claim["rungs"]]
    return f"{counts[0]:,} each" if claim["equal_steps"] else f"{counts[0]:,} and {counts[1]:,}"
