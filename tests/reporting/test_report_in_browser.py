"""The report in a headless Chromium, on a wide screen, a dark one and a phone: it draws its charts without a
complaint and without the network, no name covers another, and no text is cut off.

Left out where there is no playwright (`pip install '.[browser]'`) or no Chromium.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import some_results
from made_up import params

from pipeline.evaluation.agreement import Agreement, ByKernels, OnSplit
from pipeline.evaluation.errors import Errors, FarRow, OfModel
from pipeline.reporting.report import Contents, page
from pipeline.reporting.speed import Milliseconds, Speed, Speeds

pytestmark = [pytest.mark.slow, pytest.mark.whole_report]
PATIENCE_MS = 300_000
SCREENS = {"wide": (1200, 900, "light"), "dark": (1200, 900, "dark"), "phone": (360, 740, "light")}

# Crowded on purpose: three models at one size, scores a hair apart, and names as people give them.
MODELS = {
    "teacher": some_results.teacher(0.976, mib=0.656, bytes=687_866),
    **{
        name: some_results.model(score, parent, bits, mib=mib, ratio=0.656 / mib, bytes=int(mib * 2**20))
        for name, score, parent, bits, mib in (
            ("w8", 0.977, "teacher", (8, 32), 0.177),
            ("w4", 0.976, "w8", (4, 32), 0.097),
            ("w2", 0.954, "w4", (2, 32), 0.050),
            ("w1", 0.943, "w2", (1, 32), 0.0373),
            ("w1a8", 0.941, "w1", (1, 8), 0.0373),
            ("w1a4", 0.942, "w1a8", (1, 4), 0.0411),
            ("w1a8_direct_from_the_teacher", 0.9405, "teacher", (1, 8), 0.0373),
            ("w1a1", 0.760, "w1a4", (1, 1), 0.0485),
        )
    },
}
LONG = "a sentence that goes on " * 8 + "and has averyveryverylongwordinit" * 2


def contents() -> Contents:
    found = params(Path(), "task=demo").model_copy(update={"deliver": [*MODELS][1:]})
    labels = found.task.label_names
    furthest = [
        FarRow(row=row, distance=0.9, truth=labels[0], teacher=labels[0], model=labels[1]) for row in (3, 7)
    ]
    own = OfModel(wrong=dict.fromkeys(labels, 9), only_teacher=11, only_model=2, furthest=furthest)
    curve = pd.DataFrame({"step": [10, 20, 30], "loss": [3.0, 2.0, 1.5], "score": [None, 0.7, 0.9]})
    kernels = ByKernels(0.05, 0.01, 0.999, -0.002)
    return Contents(
        params=found,
        results=some_results.results(MODELS, claims=[some_results.claim()]),
        records={},
        agreements={"w1": Agreement({"validation": OnSplit(100, 0.0, 1.0, kernels)})},
        sizes={},
        curves=pd.concat([curve.assign(rung=name) for name in found.deliver]),
        data={"splits": {"train": {"rows": 5_400, "labels": dict.fromkeys(labels, 2_700)}}},
        errors=Errors(
            format=1,
            split="validation",
            classes=dict.fromkeys(labels, 50),
            distance="half of something",
            models=dict.fromkeys(MODELS, own),
        ),
        texts={3: LONG, 7: "short"},
    )


def speeds() -> Speeds:
    times = {name: 0.08 + 0.001 * n if "a" in name else 1.8 + 0.01 * n for n, name in enumerate(MODELS)}
    models = {
        name: Speed(digest=name, engine="lookup", milliseconds=Milliseconds(median=ms, low=ms, high=ms))
        for name, ms in times.items()
    }
    return Speeds(processor="Some Processor 9 X", threads=1, rounds=9, texts=32, tokens=9.0, models=models)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install '.[browser]'")
    there = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with playwright.sync_playwright() as running:
        if there is None and not Path(running.chromium.executable_path).is_file():
            pytest.skip("no Chromium on this machine: `playwright install chromium`, or the system's package")
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses root one
        started = running.chromium.launch(executable_path=there, args=sandbox, timeout=PATIENCE_MS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("report") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place.parent)
        place.write_text(page(contents(), speeds()), encoding="utf-8")
    return place


@pytest.fixture(scope="module", params=SCREENS)
def opened(request: pytest.FixtureRequest, browser: Any, written: Path) -> Iterator[tuple[Any, list[str]]]:
    """The page, drawn, and everything that the browser complained of or asked for."""
    width, height, scheme = SCREENS[request.param]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    tab, said = context.new_page(), list[str]()
    tab.on("console", lambda message: said.append(f"console: {message.type}: {message.text}"))
    tab.on("pageerror", lambda error: said.append(f"error: {error}"))
    tab.on("request", lambda asked: said.append(f"request: {asked.url[:200]}"))
    tab.goto(written.as_uri())
    tab.wait_for_selector("html[data-charts=drawn]")
    tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    yield tab, said
    context.close()


def test_it_needs_nothing_but_itself_and_no_script_fails(opened: Any, written: Path) -> None:
    _, said = opened
    assert said == [f"request: {written.as_uri()}"]


def test_every_model_has_its_name_in_both_charts_and_none_covers_another(opened: Any) -> None:
    tab, _ = opened
    for chart in ("score-mib", "score-ms"):
        found = tab.evaluate(
            """(chart) => [...document.querySelectorAll(`#${chart} .names text`)].map((text) => {
                 const box = text.getBoundingClientRect(), seen = text.getAttribute("opacity") ?? "1";
                 return [text.textContent, seen, box.left, box.top, box.right, box.bottom];
               })""",
            chart,
        )
        assert {name for name, opacity, *_ in found if float(opacity) > 0} == {*MODELS}, chart
        boxes = {name: box for name, _, *box in found}
        assert overlapping(boxes) == []


def test_no_text_of_an_axis_covers_another(opened: Any) -> None:
    tab, _ = opened
    groups = tab.evaluate(
        """() => [...document.querySelectorAll(".chart .role-axis-label")].map((group) =>
             [...group.querySelectorAll("text:not([opacity='0'])")].map((text) => {
               const box = text.getBoundingClientRect();
               return [box.left, box.top, box.right, box.bottom];
             }))"""
    )
    assert len(groups) > len(MODELS)
    for group in groups:
        assert overlapping({str(number): box for number, box in enumerate(group)}) == []


def overlapping(boxes: dict[str, list[float]]) -> list[tuple[str, str]]:
    """Pairs of boxes (left, top, right, bottom) that share more than a pixel's width of a border."""
    names = [*boxes]
    return [
        (one, other)
        for number, one in enumerate(names)
        for other in names[number + 1 :]
        if min(boxes[one][2], boxes[other][2]) - max(boxes[one][0], boxes[other][0]) > 1
        and min(boxes[one][3], boxes[other][3]) - max(boxes[one][1], boxes[other][1]) > 1
    ]


def test_no_text_is_cut_off_and_the_page_is_as_wide_as_the_screen(opened: Any) -> None:
    tab, _ = opened
    cut = tab.evaluate(
        """() => [...document.querySelectorAll("body *")].filter((one) =>
             one instanceof HTMLElement && one.clientWidth > 0 &&
             (one.scrollWidth > one.clientWidth + 1 || one.getBoundingClientRect().right > innerWidth + 1) &&
             !one.classList.contains("wide")
           ).map((one) => `${one.tagName}.${one.className}: ${one.textContent.slice(0, 40)}`)"""
    )
    assert cut == []
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_no_text_of_a_chart_is_outside_of_the_chart(opened: Any) -> None:
    tab, _ = opened
    outside = tab.evaluate(
        """() => [...document.querySelectorAll(".chart svg")].flatMap((svg) => {
             const frame = svg.getBoundingClientRect();
             return [...svg.querySelectorAll("text")].filter((text) => {
               const box = text.getBoundingClientRect();
               const below = box.bottom > frame.bottom + 1;
               return box.left < frame.left - 1 || box.right > frame.right + 1 || below;
             }).map((text) => text.textContent);
           })"""
    )
    assert outside == []


def test_pointing_at_a_model_shows_its_figures(opened: Any) -> None:
    tab, _ = opened
    tab.locator("#score-mib .models_marks path").first.hover(force=True)
    tab.wait_for_selector("#vg-tooltip-element.visible")
    told = tab.locator("#vg-tooltip-element").inner_text()
    assert "0.9760" in told
    assert "MiB" in told


def test_dark_is_dark(opened: Any) -> None:
    tab, _ = opened
    is_dark = tab.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(13, 17, 23)" if is_dark else "rgb(255, 255, 255)")
