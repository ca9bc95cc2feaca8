"""The report and the cards: whole, self-contained, the same bytes twice, and nobody else's markup in them.

How the page looks in a browser: test_report_in_browser.py.
"""

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import some_results
import tiny_project

from bitladder import files
from pipeline import paths
from pipeline.evaluation import results
from pipeline.evaluation.agreement import Agreement, ByKernels, OnSplit
from pipeline.evaluation.results import ModelResult
from pipeline.params import Params
from pipeline.parts import every_part
from pipeline.record import Part, Record
from pipeline.reporting import card, cells, lineage
from pipeline.reporting.headline import headline
from pipeline.reporting.report import Contents, page, read
from pipeline.reporting.speed import Milliseconds, Speed, Speeds
from pipeline.stages import evaluate, pack, report

DELIVER = ["w8", "w1", "w1a8", "w1a8_direct"]


def evaluated() -> Params:
    found = tiny_project.make().model_copy(update={"deliver": DELIVER})
    for rung in found.deliver:
        pack.run(found, rung)
    evaluate.run(found)
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        yield evaluated()


def html() -> str:
    return (paths.REPORTS / "report.html").read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Collects the names of elements, and complains about one closed out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        if tag not in ("meta", "br", "col"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_report_and_a_card_per_delivered_rung_are_published(project: Params) -> None:
    report.run(project)
    assert set(files.verify(report.CARDS)) == {f"{rung}.md" for rung in DELIVER}
    assert paths.REPORT.is_file()


def test_twice_the_same_bytes(project: Params) -> None:
    report.run(project)
    first = files.verify(report.CARDS), files.sha256(paths.REPORT)
    report.run(project)
    assert (files.verify(report.CARDS), files.sha256(paths.REPORT)) == first


def test_a_page_that_is_gone_or_old_is_made_again_and_one_of_now_is_left(project: Params) -> None:
    report.run(project)
    whole, place = html(), paths.REPORT
    place.write_text(whole + "<!-- mine -->", encoding="utf-8")
    assert html() != whole
    assert report.page_of_now(project) == place
    assert html() != whole, "it is of now"
    place.write_text(whole.replace('name="bitladder"', 'name="other"', 1).replace(mark(whole), "0"))
    report.page_of_now(project)
    assert html() == whole
    place.unlink()
    report.page_of_now(project)
    assert html() == whole


def mark(text: str) -> str:
    found = re.search(r'<meta name="bitladder" content="(\w+)">', text)
    assert found
    return found[1]


def test_the_page_needs_nothing_from_outside(project: Params) -> None:
    report.run(project)
    text = html()
    assert not re.search(r'(src|href)="(?!#)', text)
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_the_scripts_that_may_run_are_named_by_their_digests(project: Params) -> None:
    report.run(project)
    text = html()
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digests = [b64encode(sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    assert len(scripts) == 2
    assert f'script-src {allowed}">' in unescape(text)


def test_the_page_is_well_formed(project: Params) -> None:
    report.run(project)
    tags = Tags()
    tags.feed(html())
    assert tags.open == []
    assert {"table", "figure", "h2"} <= tags.seen


def rows_of(text: str) -> list[list[str]]:
    """The cells of every row of every table."""
    rows = re.findall(r"<tr>(<td.*?)</tr>", text, re.DOTALL)
    return [
        [
            unescape(re.sub(r"<[^>]*>", "", cell))
            for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)
        ]
        for row in rows
    ]


def test_agreement_is_of_the_file_and_of_the_kernels(project: Params) -> None:
    alone = OnSplit(9, 0.0, 1.0)
    both = replace(alone, by_kernels=ByKernels(0.0567891, 0.01, 0.999, -0.002))
    agreements = {"w1": Agreement({"a": both}), "w2": Agreement({"a": alone})}
    text = page(replace(read(project), agreements=agreements))
    for rung, cells_ in (
        ("w1", ["0", "100.00%", "0.0568", "99.90%"]),
        ("w2", ["0", "100.00%", "-", "-"]),
    ):
        assert [rung, "a", "9", *cells_] in rows_of(text)


def test_a_card_tells_agreement_of_the_file_and_of_the_kernels(project: Params) -> None:
    both = OnSplit(9, 0.0, 1.0, ByKernels(0.0567891, 0.01, 0.999, -0.002))
    text = card.card("w1", replace(read(project), agreements={"w1": Agreement({"a": both})}))
    assert (
        "\nOn 9 rows of a a logit differs from the trained model's by at most 0; run by our kernels, by at "
        "most 0.0568, and 99.90% of labels are the same, and the score differs by -0.20 points.\n"
    ) in text


def test_the_page_tells_scores_sizes_lineage_claims_data_and_agreement(project: Params) -> None:
    report.run(project)
    text = html()
    for expected in (
        "Results",
        "Score against size",
        "Errors",
        "Speed",
        "Lineage",
        "Claims",
        "Sizes",
        "Data",
        "Packed against trained",
    ):
        assert f"<h2>{expected}</h2>" in text
    assert "w1a8_direct" in text
    assert "no: 16, yes: 32" in text
    assert f"{(paths.packed_dir('w1') / 'model.safetensors').stat().st_size:,}" in text


def test_nothing_of_the_machine_or_the_moment_is_in_it(project: Params) -> None:
    report.run(project)
    written = html() + "".join(path.read_text() for path in (paths.REPORTS / "cards").iterdir())
    assert str(Path.cwd()) not in written
    assert not re.search(r"20\d\d-\d\d-\d\d|\d\d:\d\d:\d\d", written)


def test_markup_in_data_is_shown_not_obeyed(project: Params) -> None:
    found = read(project)
    evil = "<script>alert(1)</script>"
    data = {"splits": {evil: {"rows": 1, "labels": {evil: 1}, "duplicates": 0, "rows_also_in_train": 0}}}
    text = page(replace(found, data=data, results=found.results.model_copy(update={"task": evil})))
    assert "<script>alert" not in text
    assert "&lt;script&gt;" in text
    found = replace(found, texts=dict.fromkeys(range(48), "</script><script>alert(1)"))
    assert "<script>alert" not in page(found)


def test_a_page_without_a_data_summary_says_so(project: Params) -> None:
    assert "No summary of the data" in page(replace(read(project), data=None))


def test_what_was_evaluated_before_another_packing_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    found = evaluated()
    tiny_project.train(
        "w1",
        found.weights["w1"].model_copy(update={"granularity": "matrix"}),
        found,
        max_position_embeddings=found.task.max_length,
    )
    pack.run(found, "w1")
    with pytest.raises(files.IntegrityError, match="w1 was evaluated as"):
        report.run(found)


def test_a_card_tells_origin_recipe_score_size_and_limits(project: Params) -> None:
    report.run(project)
    text = (paths.REPORTS / "cards" / "w1a8.md").read_text()
    for heading in ("Use", "Scores", "Size", "Lineage", "Recipe", "Limits", "Licence"):
        assert f"\n## {heading}\n" in text
    assert "pretrained → teacher → w8 → w4 → w2 → w1 → w1a8\n" in text
    assert "learning_rate: 0.0003" in text
    assert files.sha256(paths.packed_dir("w1a8") / "model.safetensors") in text


def test_the_card_of_a_split_rung_says_that_a_weight_is_two(project: Params) -> None:
    found = read(project)
    split_found = changed(found, unusual=["width 0.5", "sums of two"])
    said = "weights 1, embeddings 1, activations 32; each weight is the sum of two 1-bit ones;"
    assert said in card.card("w1", split_found)
    assert said not in card.card("w1", found)


def changed(found: Contents, **changes: Any) -> Contents:
    """With another w1 in its results."""
    w1 = found.results.models["w1"].model_copy(update=changes)
    return replace(found, results=some_results.with_models(found.results, w1=w1))


def test_a_card_says_nothing_of_speed_but_where_to_look(project: Params) -> None:
    text = card.card("w1a8", read(project))
    assert "faster" not in text
    assert "Its speed depends on the processor and was not measured here" in text


def test_page_and_cards_tell_what_is_claimed_of_a_rung(project: Params) -> None:
    report.run(project)
    cards = {rung: (paths.REPORTS / "cards" / f"{rung}.md").read_text() for rung in DELIVER}
    [claim] = results.read().claims
    for text in (cards["w1a8"], cards["w1a8_direct"], unescape(html())):
        assert claim.statement in text
        assert claim.verdict in text
        assert claim.rule in text
    assert "## Claims" not in cards["w8"]


def with_seeds(found: Contents) -> Contents:
    """As if every model had been trained from two seeds, with scores 0.1 apart."""
    better = {
        name: model.model_copy(update={"score": (model.score or 0) + 0.1})
        for name, model in found.results.models.items()
    }
    every = [found.results, some_results.with_models(found.results, **better)]
    return replace(found, results=some_results.of_several_seeds(every))


def test_with_seeds_page_and_cards_show_mean_and_spread(project: Params) -> None:
    found = with_seeds(changed(read(project), collapsed=False))
    expected = f"{found.results.models['w1'].means.mean:.4f} ± 0.0707"
    assert expected in {cell for row in rows_of(page(found)) for cell in row}
    text = card.card("w1", found)
    assert f"Over 2 seeds the recipe gets accuracy {expected}" in text
    assert "The table is of this file, seed 0." in text


@pytest.mark.parametrize("says", [False, True])
def test_a_card_says_that_its_model_gives_one_answer(project: Params, says: bool) -> None:
    alone = changed(read(project), collapsed=says, seeds=None)
    of_one, of_two = (card.card("w1", found) for found in (alone, with_seeds(alone)))
    assert ("It gives one answer to all rows of validation." in of_one) == says
    assert cells.SAYS_COLLAPSED not in of_one
    assert (cells.SAYS_COLLAPSED in of_two) == says


def test_a_cards_metadata_is_yaml(project: Params) -> None:
    from ruamel.yaml import YAML

    report.run(project)
    text = (paths.REPORTS / "cards" / "w1.md").read_text().split("---")[1]
    metadata = YAML(typ="safe").load(text)
    assert metadata["model-index"][0]["results"][0]["metrics"][0]["type"] == "accuracy"


def test_speeds_are_shown_with_their_processor_and_only_where_they_were_measured(project: Params) -> None:
    found = read(project)
    assert "Not measured here" in page(found)
    times = {"teacher": 4.0, "w1": 2.0}
    models = {
        name: Speed(digest="0", engine="torch", milliseconds=Milliseconds(median=ms, low=ms, high=ms))
        for name, ms in times.items()
    }
    speeds = Speeds(processor="Some Chip 9", threads=1, rounds=9, texts=3, tokens=7.0, models=models)
    text = page(found, speeds)
    assert "Some Chip 9" in text
    assert ["w1", "torch", "2.00", "2-2", "2"] in rows_of(text)
    assert 'id="score-ms"' in text
    assert 'id="score-ms"' not in page(found)


def test_errors_quote_the_rows_that_the_data_has(project: Params) -> None:
    found = read(project)
    [first, *_] = found.errors.models["w1"].furthest
    assert found.texts[first.row].startswith("The ")
    assert [
        found.texts[first.row],
        first.truth,
        first.teacher,
        first.model,
        f"{first.distance:.3f}",
    ] in rows_of(page(found))
    assert [name for name, rows in found.errors.classes.items() if rows == 16]  # type: ignore[union-attr]


def rung(gap: float | None, mib: float, activation_bits: int = 32, **changes: Any) -> ModelResult:
    score = None if gap is None else 0.9 + gap
    size = {"mib": mib, "bytes": int(mib * 2**20), "ratio": 10 / mib}
    return some_results.model(score, **{"bits": (1, activation_bits), "gap": gap, **size, **changes})


@pytest.mark.parametrize(
    ("rungs", "best"),
    [
        ({"w8": rung(0.0, 3, weight_bits=8), "w1": rung(-0.05, 1), "w1a8": rung(-0.09, 0.9, 8)}, "w1a8"),
        ({"w1a8": rung(-0.05, 1, 8), "w1a4": rung(-0.02, 1.1, 4), "w1a1": rung(-0.2, 0.9, 1)}, "w1a4"),
        ({"w1a8": rung(-0.05, 1, 8), "w1a4": rung(-0.05, 0.9, 4)}, "w1a4"),
        ({"w1a8": rung(-0.05, 1, 8), "w1a1": rung(0.0, 0.9, 1, collapsed=True)}, "w1a8"),
        ({"w1": rung(-0.05, 1), "w2": rung(-0.01, 1, weight_bits=2)}, "w1"),
        ({"w1": rung(None, 1)}, None),
    ],
)
def test_the_headline_is_of_the_best_low_bit_model(rungs: dict[str, ModelResult], best: str | None) -> None:
    found = headline(some_results.results({"teacher": some_results.teacher(mib=10.0), **rungs}))
    assert found.model == best
    if best:
        assert best in found.title
        assert "points" in found.title
        assert "teacher" in found.sentence


LADDER = {
    "teacher": some_results.teacher(),
    "w8": some_results.model(0.8, "teacher", (8, 32)),
    "w1": some_results.model(0.8, "w8"),
    "w2": some_results.model(0.8, "w8", (2, 32)),
    "w1a8": some_results.model(0.8, "w1", (1, 8)),
    "w4a8": some_results.model(0.8, "w4", (4, 8)),
}


def test_in_the_lineage_a_row_goes_down_the_longest_way_and_others_begin_where_they_part() -> None:
    rows = [(chain.start, [name for name, _ in chain.models]) for chain in lineage.chains(LADDER, {})]
    assert rows == [
        (None, ["teacher", "w8", "w1", "w1a8"]),
        (None, ["w4a8"]),  # w4, which it starts from, is not delivered
        ("w8", ["w2"]),
    ]


def test_the_lineage_says_what_was_drawn_at_random_and_which_rung_taught() -> None:
    drawn = [
        Part(part, "drawn", distribution="normal", seed=3) for part in every_part(2) if "encoder" in part
    ]
    records = {
        "w1": Record("w1", "weights", "demo", "0" * 64, teacher="w2", init=drawn),
        "w2": Record("w2", "weights", "demo", "0" * 64, teacher="teacher"),
    }
    words = {name: said for chain in lineage.chains(LADDER, records) for name, said in chain.models}
    assert words["w1"] == ("W1 E1 A32", "0.8000", "1 MiB", "drawn at random: encoder", "taught by w2")
    assert words["w2"] == ("W2 E2 A32", "0.8000", "2 MiB")
