"""What the page says about its figures, and what an inspector does with them, in a real browser."""

import json

import numpy as np
import pytest
from scipy import ndimage

from spotrust_jax.outputs.descriptions import estimate, fraction_in_words
from spotrust_jax.outputs.regions import find_regions, label_places
from tests.report.browser import opened, wait_until
from tests.report.surveys import reported, write_photographs


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    source = tmp_path_factory.mktemp("photographs")
    write_photographs(source, ["a.png", "b.png"], size=(96, 128))
    return reported(source, tmp_path_factory.mktemp("out"))[0]


@pytest.mark.parametrize("width", [400, 1280])
def test_model_is_described_and_figures_are_explained_at_any_width(browser, report, width):
    with opened(browser, report) as page:
        page.set_viewport_size({"width": width, "height": 800})
        assert "NOT CALIBRATED" in page.inner_text(".banner") and "half of their size" in page.inner_text(".banner")
        for _ in range(2):
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.click("#as-table")
        page.locator(".card button").first.click()
        wait_until(page, "viewer.detail !== null")
        assert page.evaluate("document.querySelector('.side').scrollWidth") <= width
        assert page.locator("#figures dt .why").count() == page.locator("#figures dt").count()
        page.locator("#figures .why").first.focus()
        page.keyboard.press("Enter")
        assert "whole picture" in page.locator(".explanation:popover-open").inner_text()
        page.keyboard.press("Escape")
        assert page.locator("#viewer").is_visible() and not page.locator("#technical").get_attribute("open")


def test_empty_result_has_a_way_back_and_table_follows(browser, report):
    with opened(browser, report) as page:
        page.click("#as-table")
        page.fill("#filter-name", "nothing is called so")
        assert page.locator("#summary-rows tr").count() == 0
        page.click("#show-all")
        assert page.locator("#summary-rows tr").count() == 2 and page.locator("#clear").is_hidden()
        page.click("[data-sort=name]")
        assert page.locator("#summary-rows th").all_inner_texts() == ["a", "b"]


def test_changes_keep_both_values_name_and_time(browser, report, tmp_path):
    with opened(browser, report) as page:
        page.fill("#survey-inspector", "A. Smith")
        page.locator(".card button").first.click()
        wait_until(page, "viewer.detail !== null")
        page.fill("#inspector-grade", "D610 4")
        page.keyboard.press("Tab")
        page.locator("#regions select").first.select_option("no corrosion")
        page.keyboard.press("Escape")
        with page.expect_download() as download:
            page.click("#save-notes")
        download.value.save_as(tmp_path / "notes.json")
        page.evaluate("localStorage.clear()")
    saved = json.loads((tmp_path / "notes.json").read_text())
    grade, region = saved["notes"][0]["changes"]
    assert saved["survey"]["inspector"] == grade["name"] == region["name"] == "A. Smith"
    assert grade["value"] == "D610 4" and grade["model"].startswith("none") and grade["time"][:2] == "20"
    assert (region["field"], region["value"]) == ("region 1", "no corrosion") and region["model"].startswith(
        "corrosion"
    )


def test_numbers_stand_in_their_regions():
    probability = ndimage.gaussian_filter(np.random.default_rng(0).random((90, 120)), 2).astype(np.float32)
    rows = lambda _, window: probability[window]  # noqa: E731
    regions = find_regions(rows, np.zeros(probability.shape, np.int32), 0.5)
    places = label_places(regions, 50)
    assert [regions.labels[place] for place in places] == list(range(1, len(places) + 1)) and len(places) > 5


def test_shares_in_words():
    assert [fraction_in_words(share) for share in (0.2, 0.5, 0.01, 1.0, 0.7)] == [
        "a fifth",
        "half",
        "one part in 100",
        "all",
        "70%",
    ]
    assert [estimate(share) for share in (0.0, 0.00001, 0.0123, 0.3803)] == ["0 %", "below 0.01%", "1.2 %", "38 %"]
