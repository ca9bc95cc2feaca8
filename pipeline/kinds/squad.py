"""SQuAD's official metrics, exact match and F1, and the threshold below which there is no answer.

As the data sets' own evaluation scripts define them (evaluate-v1.1.py, evaluate-v2.0.py): answers are
compared without capitals, punctuation, articles and runs of spaces; F1 counts the words that both have; of
several given answers the one that fits best counts; the mean is over questions. Here they are shares from
0 to 1, the scripts print percent. The task's score is F1, which SQuAD's tables rank by, with exact match
beside it: they are not averaged, as GLUE does with its two metrics.

Where questions may have no answer (2.0), saying so is right when there is none, and is worth nothing when
there is one. The official script finds the best threshold on the split that it scores; here it is chosen on
the selection split, and the validation split is scored with it as it is.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from bitladder.text.characters import without_unseen

Floats = npt.NDArray[np.float64]
EXACT_MATCH, F1 = "exact_match", "f1"
NO_ANSWER = ""
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize(text: str) -> str:
    """An answer as it is compared; characters that nobody sees, which the scripts keep, are no difference."""
    seen = without_unseen(text).lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", seen).split())


def exact_match(prediction: str, given: str) -> float:
    return float(normalize(prediction) == normalize(given))


def f1(prediction: str, given: str, *, unanswerable: bool) -> float:
    """Harmonic mean of the shares of words in common.

    Two answers of which nothing is left have none in common in 1.1 (0), and are both "no answer" in 2.0 (1).
    """
    predicted, expected = normalize(prediction).split(), normalize(given).split()
    common = sum((Counter(predicted) & Counter(expected)).values())
    if unanswerable and not (predicted and expected):
        return float(predicted == expected)
    return 2 * common / (len(predicted) + len(expected)) if common else 0.0


@dataclass(frozen=True)
class Marks:
    """What each of Q questions gets: arrays [Q], shares from 0 to 1."""

    exact_match: Floats
    f1: Floats


def marks(predictions: Sequence[str], answers: Sequence[Sequence[str]], *, unanswerable: bool) -> Marks:
    """Each prediction against the given answer that fits it best; `answers` are empty where there is none."""
    accepted = [_accepted(given, unanswerable) for given in answers]

    def best(mark: Callable[[str, str], float]) -> Floats:
        pairs = zip(predictions, accepted, strict=True)
        return np.array([max(mark(prediction, one) for one in given) for prediction, given in pairs])

    return Marks(best(exact_match), best(partial(f1, unanswerable=unanswerable)))


def scores(found: Marks, answers: Sequence[Sequence[str]], *, unanswerable: bool) -> dict[str, float | None]:
    """Both metrics over all questions; where some have no answer, also over those with one and without."""
    every = {EXACT_MATCH: float(found.exact_match.mean()), F1: float(found.f1.mean())}
    if not unanswerable:
        return dict(every)
    has_answer = np.array([_accepted(given, True) != [NO_ANSWER] for given in answers])
    return {**every, **_means(found, has_answer, "has_answer"), **_means(found, ~has_answer, "no_answer")}


def best_threshold(margins: Sequence[float], answered: Marks, silent: Marks) -> float:
    """The margin over which "no answer" is said, so that the F1 is largest.

    Args:
        margins: of each question, how much more the model believes in no answer (see `Span.margin`).
        answered, silent: what each question gets when it is answered, and when it is not.

    Returns:
        A number halfway between two margins, or 1 beside the outermost; of equals the one that answers least.
    """
    order = np.argsort(margins, kind="stable")
    sorted_Q = np.asarray(margins, np.float64)[order]
    gain_Q = (answered.f1 - silent.f1)[order]
    # What answering the first k gains; between equal margins no threshold fits.
    gains = np.concatenate([[0.0], np.cumsum(gain_Q)])
    gains[1:-1][sorted_Q[1:] == sorted_Q[:-1]] = -np.inf
    edges = np.concatenate([[sorted_Q[0] - 2], sorted_Q, [sorted_Q[-1] + 2]])
    count = int(gains.argmax())
    return float((edges[count] + edges[count + 1]) / 2)


def _accepted(given: Sequence[str], unanswerable: bool) -> list[str]:
    """As evaluate-v2.0.py: answers of which nothing is left are none, and none means no answer."""
    if not unanswerable:
        return list(given)
    return [answer for answer in given if normalize(answer)] or [NO_ANSWER]


def _means(found: Marks, chosen: npt.NDArray[np.bool], name: str) -> dict[str, float | None]:
    """None where no question is of that kind."""
    if not chosen.any():
        return {f"{name}_{EXACT_MATCH}": None, f"{name}_{F1}": None}
    return {
        f"{name}_{EXACT_MATCH}": float(found.exact_match[chosen].mean()),
        f"{name}_{F1}": float(found.f1[chosen].mean()),
    }
