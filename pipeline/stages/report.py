"""Stage `report`: `reports/report.html`, a page per search, and a model card per rung in `reports/cards/`."""

from bitladder import files
from pipeline import paths
from pipeline.params import Params
from pipeline.progress import say

REPORT = "report.html"


def run(params: Params, rung: str | None = None) -> None:
    """Raises IntegrityError when a packed folder is not the one that was evaluated."""
    from pipeline.reporting import card, report, search

    found = report.read(params)
    with files.publish(paths.REPORTS) as folder:
        files.write_text(folder / REPORT, report.page(found))
        for name, tried in search.found().items():
            files.write_text(folder / f"search-{name}.html", search.page(name, tried))
        for name in params.deliver:
            files.write_text(folder / "cards" / f"{name}.md", card.card(name, found))
    say(f"report: {paths.REPORTS / REPORT}, {len(params.deliver)} model cards in {paths.REPORTS / 'cards'}")
