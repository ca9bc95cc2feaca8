"""Stage `report`: a model card per rung in `reports/cards/`, which DVC keeps, and pages to look at.

    reports/cards/<rung>.md       the same from the same inputs, on every computer
    reports/report.html           with the speeds of this computer, so no output of DVC's
    reports/search-<name>.html    a page of each search

Who brings the cards from DVC's cache has the pages of something else, or none: `page_of_now` makes
report.html anew where it is not what would be written now. `register` and `bitladder report` do so.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from bitladder import files
from pipeline import paths
from pipeline.evaluation import errors
from pipeline.params import Params
from pipeline.progress import say

if TYPE_CHECKING:
    from pipeline.reporting.report import Contents

CARDS = paths.REPORTS / "cards"
_HEAD = 4096  # characters, in which the page says what it was made from


def run(params: Params, rung: str | None = None) -> None:
    """Raises IntegrityError when a packed folder is not the one that was evaluated."""
    from pipeline.reporting import card, report, search

    found = report.read(params)
    with files.publish(CARDS) as folder:
        for name in params.deliver:
            files.write_text(folder / f"{name}.md", card.card(name, found))
    _write(params, found, again=False)
    for name, tried in search.found().items():
        files.write_text(paths.REPORTS / f"search-{name}.html", search.page(name, tried))
    say(f"report: {paths.REPORT}, {len(params.deliver)} model cards in {CARDS}")


def page_of_now(params: Params, *, again: bool = False) -> Path:
    """report.html, written anew unless it is of the results and speeds of now.

    `again`: time the models anew.

    Raises:
        NoResultsError: nothing has been evaluated here.
        IntegrityError: a packed folder is not the one that was evaluated.
    """
    from pipeline.reporting import report

    if again or not paths.REPORT.is_file() or _mark() not in paths.REPORT.read_text(encoding="utf-8")[:_HEAD]:
        _write(params, report.read(params), again=again)
    return paths.REPORT


def _write(params: Params, found: "Contents", *, again: bool) -> None:
    from pipeline.reporting import report, speed

    digests = {name: model.digest for name, model in found.results.models.items()}
    speeds = speed.of_now(params.task, digests, again=again)
    files.write_text(paths.REPORT, report.page(found, speeds, mark=_mark()))


def _mark() -> str:
    """Of what the page is made from: digests of the results, the errors and the speeds."""
    from pipeline.reporting import speed

    sources = (paths.RESULTS, errors.ERRORS, speed.SPEED)
    return files.digest([files.sha256(path) if path.is_file() else None for path in sources])
