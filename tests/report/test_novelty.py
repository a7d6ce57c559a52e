"""What page and print say of photographs that are not of a kind that the model knows, and of the survey's area."""

import dataclasses
import io

import pytest
from pypdf import PdfReader

from spotrust_jax.calibration.areas import AreaCalibration
from spotrust_jax.calibration.novelty import Novelty
from spotrust_jax.outputs.summary import with_novelty
from tests.report.browser import opened, wait_until
from tests.report.surveys import MODEL, job_of, publish, surveyed, write_photographs

UNKNOWN = "not of a kind the model knows: no grade"
AREAS = AreaCalibration(reach=0.4, structure_reach=0.3, groups=40, structure_error=0.2)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    source, folder = (tmp_path_factory.mktemp(name) for name in ("photographs", "out"))
    write_photographs(source, ["deck/a.png", "tower/b.png"], size=(96, 128))
    return folder, surveyed(source, job_of(folder))


@pytest.fixture
def report(rows):
    folder, (a, b) = rows
    shown = [with_novelty(a, Novelty(0.5, False)), with_novelty(b, Novelty(2.33, True))]
    return publish(folder, shown, dataclasses.replace(MODEL, areas=AREAS))


def test_novel_photograph_is_marked_everywhere_and_filtered(browser, report):
    with opened(browser, report) as page:
        assert "1 of 2 photographs is not of a kind" in page.inner_text(".alert:not(.all)")
        page.click("#show-novel")
        assert page.locator(".card .name").all_inner_texts() == ["b.png"]
        assert page.locator(".card .chip.novel").all_inner_texts() == [UNKNOWN]
        page.select_option("#filter-kind", "known")
        assert page.locator(".card .name").all_inner_texts() == ["a.png"] and not page.locator(".card .novel").count()
        page.click("#clear")
        page.click("#as-table")
        assert page.locator("#summary-rows .chip.novel").all_inner_texts() == [UNKNOWN]
        page.click("#as-table")
        page.locator(".card.unknown-kind button").click()
        wait_until(page, "viewer.detail !== null")
        assert UNKNOWN in page.inner_text("#unknown") and "2.33 times the limit" in page.inner_text("#unknown")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Escape")


def test_all_novel_is_said_strongly(browser, rows):
    folder, found = rows
    page = publish(folder, [with_novelty(row, Novelty(3.0, True)) for row in found])
    with opened(browser, page) as page:
        assert page.inner_text(".alert.all").startswith("ALL 2 PHOTOGRAPHS ARE NOT OF A KIND THAT THE MODEL KNOWS")


def test_survey_has_its_area_interval_condition_and_structures(browser, report):
    with opened(browser, report) as page:
        text = page.inner_text(".whole")
        assert "90% interval" in text and "2 photographs of 2 structures" in text
        assert "A folder stands for a structure" in text and "1 of the photographs is not of a kind" in text
        page.click(".whole summary")
        assert page.locator(".whole tbody th").all_inner_texts() == ["deck", "tower"]
        assert page.locator(".whole tbody td:nth-child(3)").all_inner_texts() == ["0", "1"]


def test_print_of_the_browser_has_large_pictures(browser, report):
    with opened(browser, report) as page:
        wait_until(page, "photographs.every((one) => one.printed && !one.printed.missing)")
        pages = PdfReader(io.BytesIO(page.pdf(format="A4"))).pages
        assert [image.image.size for part in pages for image in part.images] == [(1000, 750)] * 2
        text = " ".join(" ".join(part.extract_text() for part in pages).split())
        assert "2.33 times the limit" in text and text.count(UNKNOWN) == 2
        page.locator(".card button").first.click()
        wait_until(page, "viewer.detail !== null")
        page.evaluate("layOut()")
        assert page.evaluate("[...document.querySelectorAll('#prints canvas')].map((one) => one.width)") == [1000]
