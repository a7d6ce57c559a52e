"""The report in a real browser: what a person sees and does, against what numpy computes from the maps."""

import io
import itertools
import json
import re

import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

from spotrust_jax.report.levels import slider_steps
from tests.inference.known_segmenter import known_maps
from tests.report.browser import opened, wait_until
from tests.report.surveys import reported, write_photographs

# One is larger than its preview.
NAMES = [f"{number:02}.png" for number in range(49)]
THRESHOLD = 0.437


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    write_photographs(folder, NAMES)
    write_photographs(folder, ["below/large.png"], seed=1, size=(700, 900))
    return folder


@pytest.fixture(scope="module")
def report(source, tmp_path_factory):
    return reported(source, tmp_path_factory.mktemp("out"), threshold=THRESHOLD)


@pytest.fixture(scope="module")
def report_with_folder(source, tmp_path_factory):
    return reported(source, tmp_path_factory.mktemp("out"), threshold=THRESHOLD, inline=False)


@pytest.fixture(params=["report", "report_with_folder"])
def page(request, browser):
    path, _ = request.getfixturevalue(request.param)
    with opened(browser, path) as page:
        yield page


def open_photograph(page, name):
    page.get_by_role("button", name=re.compile(re.escape(name))).first.click()
    page.wait_for_selector("#viewer[open]")
    wait_until(page, "viewer.detail !== null")


def slide(page, slider, number):
    page.eval_on_selector(slider, "(s, n) => { s.value = n; s.dispatchEvent(new Event('input')); }", number)


def mask_on_screen(page):
    """Tinted pixels of the mask's picture: 1 in the mask, 2 left out as uncertain."""
    size, kinds = page.evaluate(
        """() => {
            const { width, height } = viewer.mask;
            const values = viewer.mask.getContext('2d').getImageData(0, 0, width, height).data;
            let kinds = '';
            for (let i = 0; i < values.length; i += 4) kinds += values[i + 3] === 0 ? 0 : values[i] === 0 ? 1 : 2;
            return [viewer.detail.map_size, kinds];
        }"""
    )
    return (np.frombuffer(kinds.encode(), np.uint8) - ord("0")).reshape(size)


@pytest.mark.parametrize("name", ["03.png", "large.png"])
def test_sliders_show_the_mask_and_the_area_of_the_full_maps(page, source, report, name):
    rows = {row.photograph.rsplit("/", 1)[-1]: row for row in report[1]}
    image = np.asarray(Image.open(next(source.rglob(name))))
    maps, steps = known_maps(image), slider_steps(THRESHOLD)
    open_photograph(page, name)
    shown = page.evaluate("data.probability_steps[data.threshold]")
    np.testing.assert_allclose(shown, THRESHOLD, rtol=1e-6)
    assert int(page.get_attribute("#viewer", "data-area")) == rows[name].corroded_fraction * image[..., 0].size
    height, width = page.evaluate("viewer.detail.map_size")
    assert max(height, width) == min(max(image.shape), 640)
    taken = [
        ((np.arange(n) + 0.5) * full / n).astype(int) for n, full in ((height, image.shape[0]), (width, image.shape[1]))
    ]
    for number, cut_off in ((0, 131), (60, 70), (101, 100), (150, 40), (201, 131), (77, 0)):
        slide(page, "#threshold", number)
        slide(page, "#cut-off", cut_off)
        mask = maps.probability >= steps.probability[number]
        certain = maps.epistemic <= steps.epistemic[cut_off]
        assert int(page.get_attribute("#viewer", "data-area")) == (mask & certain).sum()
        text = page.inner_text("#figures")
        assert f"{100 * (mask & certain).mean():.2f} %" in text
        expected = np.where(mask, np.where(certain, 1, 2), 0)[np.ix_(*taken)]
        np.testing.assert_array_equal(mask_on_screen(page), expected)
    assert page.evaluate("data.epistemic_steps.length") == len(steps.epistemic)


def test_layers_zoom_and_values_under_the_pointer(page, source):
    image = np.asarray(Image.open(source / "03.png"))
    open_photograph(page, "03.png")
    box = page.locator("#canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2 + 3)
    page.mouse.wheel(0, -600)
    assert page.evaluate("viewer.zoom") > 3
    place = page.evaluate("[viewer.x, viewer.y]")
    for key, layer in (("2", "probability"), ("3", "epistemic"), ("4", "aleatoric"), ("1", "photograph")):
        page.keyboard.press(key)
        assert page.evaluate("viewer.layer") == layer
        assert page.locator(f"[data-layer={layer}]").get_attribute("aria-checked") == "true"
        assert page.evaluate("[viewer.x, viewer.y]") == place
        assert page.locator("#legend").is_visible() == (layer != "photograph")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    text = page.inner_text("#pointer")
    x, y, probability, epistemic, log_variance = map(float, re.findall(r"-?\d+(?:\.\d+)?", text))
    red, green, blue = image[int(y), int(x)] / 255
    assert abs(probability - red) <= 0.005 and abs(epistemic - green / 2) <= 0.006 and abs(log_variance - blue) <= 0.01
    page.keyboard.press("0")
    assert page.evaluate("viewer.zoom") == 1
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2)
    page.mouse.up()
    assert page.evaluate("viewer.x") < 0.5


def names_shown(page):
    return page.locator(".card .name").all_text_contents()


def test_sort_and_filter(page, report):
    rows = report[1]
    by_name = {row.photograph.rsplit("/", 1)[-1]: row for row in rows}
    for key in ("expected_missed_fraction", "mean_entropy", "corroded_fraction", "mean_epistemic"):
        page.select_option("#sort", key)
        expected = sorted(by_name, key=lambda name: -getattr(by_name[name], key))
        assert names_shown(page) == expected
    page.check("#reverse")
    assert names_shown(page) == expected[::-1]
    page.uncheck("#reverse")
    page.select_option("#sort", "name")
    assert names_shown(page) == [*NAMES, "large.png"]
    fourth = sorted(row.corroded_fraction for row in rows)[-4]
    page.fill("#filter-area", repr(100 * fourth - 1e-9))
    assert len(names_shown(page)) == 4 and page.inner_text("#shown-count") == "4 of 50 shown"
    page.fill("#filter-area", "")
    page.fill("#filter-epistemic", repr(max(row.mean_epistemic for row in rows) - 1e-12))
    assert len(names_shown(page)) == 1
    page.fill("#filter-epistemic", "")
    page.fill("#filter-missed", "100")
    assert names_shown(page) == []
    page.fill("#filter-missed", "")
    page.fill("#filter-name", "BELOW/")
    assert names_shown(page) == ["large.png"]


def test_everything_works_by_keyboard(page):
    page.select_option("#sort", "name")
    page.locator("#print").focus()
    page.keyboard.press("Tab")
    assert "00.png" in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("ArrowRight")
    assert "01.png" in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    wait_until(page, "viewer.detail !== null")
    page.keyboard.press("ArrowRight")
    wait_until(page, "viewer.photograph.name === '02.png' && viewer.detail !== null")
    page.keyboard.press("c")
    page.keyboard.press("m")
    assert page.is_checked("#checked") and page.evaluate("viewer.mask") is None
    page.locator("#technical summary").click()
    page.locator("#threshold").focus()
    before = page.input_value("#threshold")
    page.keyboard.press("ArrowRight")
    assert int(page.input_value("#threshold")) == int(before) + 1
    page.keyboard.press("Escape")
    assert page.locator("#viewer").is_hidden()
    assert "02.png" in page.evaluate("document.activeElement.textContent")
    assert page.inner_text("#checked-count") == "1"


def test_notes_are_saved_and_come_back(page, tmp_path):
    note = "Rust? </script> \"see\" 'below' & ünï 🦀"
    open_photograph(page, "02.png")
    page.fill("#note", note)
    page.check("#checked")
    page.click("#close")
    with page.expect_download() as download:
        page.click("#save-notes")
    download.value.save_as(tmp_path / "notes.json")
    saved = json.loads((tmp_path / "notes.json").read_text())
    (written,) = saved["notes"]
    changes = written.pop("changes")
    assert written == {"outputs": "02", "photograph": "02.png", "checked": True, "note": note}
    assert [(change["field"], change["value"]) for change in changes] == [("remark", note), ("checked", "yes")]
    page.evaluate("localStorage.clear(), notes.clear(), photographs.forEach(showNotes)")
    page.set_input_files("#load-notes", tmp_path / "notes.json")
    wait_until(page, "notes.size === 1")
    open_photograph(page, "02.png")
    assert page.input_value("#note") == note and page.is_checked("#checked")
    page.keyboard.press("Escape")
    page.select_option("#filter-state", "checked")
    assert names_shown(page) == ["02.png"]
    page.evaluate("localStorage.clear()")


def test_prints_a_summary_of_all(page, report):
    assert page.locator("#summary").is_hidden()
    open_photograph(page, "02.png")
    page.fill("#note", "looked at")
    page.emulate_media(media="print")
    assert page.locator("#summary").is_visible() and page.locator("#viewer").is_hidden()
    assert page.locator("#cards").is_hidden()
    rows = page.locator("#summary-rows tr").all_inner_texts()
    assert len(rows) == len(report[1])
    in_order = sorted(report[1], key=lambda row: -row.expected_missed_fraction)
    for text, row in zip(rows, in_order, strict=True):
        assert row.outputs in text and f"{100 * row.corroded_fraction:.2f} %" in text
    page.evaluate("preparePrint()")
    articles = page.locator("#prints article").all_inner_texts()
    assert len(articles) == len(report[1]) and sum("looked at" in text for text in articles) == 1
    pages = [
        part.extract_text() for part in PdfReader(io.BytesIO(page.pdf(format="A4", prefer_css_page_size=True))).pages
    ]
    printed = " ".join(" ".join(pages).split())
    assert all(f"{100 * row.corroded_fraction:.2f} %" in printed and row.outputs in printed for row in report[1])
    assert printed.count("looked at") == 1
    heading = page.locator("#summary thead th").first.text_content()
    table = list(itertools.takewhile(lambda text: "Analysed at" not in text, pages))
    assert 1 < len(table) < len(pages) and all(heading in text for text in table)
    page.emulate_media(media="screen")
    page.keyboard.press("Escape")
    page.click("#as-table")
    assert page.locator("#summary").is_visible() and page.locator("#cards").is_hidden()
    page.evaluate("localStorage.clear()")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_follows_light_and_dark(browser, report, scheme):
    with opened(browser, report[0], color_scheme=scheme) as page:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", colour))) > 380) == (scheme == "light")
        assert all(page.locator("img").nth(i).get_attribute("alt") for i in range(page.locator("img").count()))
