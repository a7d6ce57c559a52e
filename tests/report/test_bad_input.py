"""Reports of nothing, of failures, of extremes and of names that try to be markup, in a real browser."""

import json

import numpy as np
import pytest
from PIL import Image

from spotrust_jax.errors import InputError
from spotrust_jax.report import page as page_module
from spotrust_jax.report.parts import script_json
from tests.report.browser import opened, wait_until
from tests.report.surveys import MODEL, job_of, publish, reported, surveyed, write_photographs

NAMES = [
    "</script><img src=x onerror=alert(1)>.png".replace("/", "∕"),
    "<!--<script>.png",
    "\"double\" 'single' `tick` ${1}.png",
    "&lt;b&gt; &amp; {{ 7 * 7 }} {% raw %}.png",
    "line\u2028para\u2029 🦀 ünï.png",
    "#hash ?query %41 100%.png",
    "x" * 200 + ".png",
]


@pytest.mark.parametrize("inline", [True, False])
def test_names_neither_break_nor_inject_anything(browser, tmp_path, inline):
    write_photographs(tmp_path / "in", NAMES, size=(40, 40))
    path, _ = reported(tmp_path / "in", tmp_path / "out", inline=inline)
    with opened(browser, path) as page:
        assert sorted(page.locator(".card .name").all_text_contents()) == sorted(NAMES)
        assert page.locator("img").count() == len(NAMES)
        wait_until(page, "[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
        for number in range(len(NAMES)):
            page.locator(".card button").nth(number).click()
            wait_until(page, "viewer.detail !== null")
            assert page.text_content("#viewer-name") in NAMES
            page.keyboard.press("Escape")
        assert page.evaluate("document.querySelectorAll('script').length") == (3 if not inline else 2 + len(NAMES)) - (
            not inline
        )


def test_script_json_cannot_end_a_script():
    text = {"name": "</script><!-- \u2028 \u2029 & ' \" \ud800"}
    written = script_json(text)
    assert not set("<>&\u2028\u2029\ud800") & set(written)
    assert json.loads(written) == text


def test_nothing_predicted(browser, tmp_path):
    tmp_path.joinpath("out").mkdir()
    path = publish(tmp_path / "out", [], MODEL)
    with opened(browser, path) as page:
        assert "No photograph was analysed" in page.inner_text("main")
        assert page.inner_text("#shown-count") == "0 of 0 shown"
    assert json.loads((tmp_path / "out" / "regions_coco.json").read_text())["images"] == []


def test_all_failed(browser, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "<b>.jpg"):
        (tmp_path / "in" / name).write_bytes(b"no picture")
    path, rows = reported(tmp_path / "in", tmp_path / "out")
    assert {row.status for row in rows} == {"failed"}
    with opened(browser, path) as page:
        assert "all of them failed" in page.inner_text("main")
        assert "<b>.jpg" in page.inner_text(".failed") and page.locator(".failed li").count() == 2


@pytest.mark.parametrize(
    ("shape", "level"), [((1, 1), 0), ((1, 1), 255), ((1, 70), 200), ((90, 90), 0), ((90, 90), 255)]
)
def test_extreme_photographs(browser, tmp_path, shape, level):
    """One pixel, no corrosion anywhere, corrosion everywhere."""
    (tmp_path / "in").mkdir()
    Image.fromarray(np.full((*shape, 3), level, np.uint8)).save(tmp_path / "in" / "a.png")
    path, (row,) = reported(tmp_path / "in", tmp_path / "out")
    assert row.corroded_fraction == (level > 127) and row.regions == (level > 127)
    with opened(browser, path) as page:
        page.locator(".card button").click()
        wait_until(page, "viewer.detail !== null")
        assert page.get_attribute("#viewer", "data-area") == str(shape[0] * shape[1] * (level > 127))
        for key in "1234":
            page.keyboard.press(key)


def test_report_of_an_earlier_run_is_replaced(tmp_path):
    write_photographs(tmp_path / "in", ["a.png", "b.png"], size=(40, 40))
    reported(tmp_path / "in", tmp_path / "out", inline=False)
    (tmp_path / "in" / "b.png").unlink()
    reported(tmp_path / "in", tmp_path / "out", inline=False)
    assert sorted(path.name for path in (tmp_path / "out" / "report_files").iterdir()) == ["000000.jpg", "000000.js"]
    reported(tmp_path / "in", tmp_path / "out", inline=True)
    assert not (tmp_path / "out" / "report_files").exists()
    (tmp_path / "out" / "report_files").write_text("mine")
    with pytest.raises(InputError, match="report_files is no folder"):
        reported(tmp_path / "in", tmp_path / "out", inline=False)
    assert (tmp_path / "out" / "report_files").read_text() == "mine"


def test_template_field_that_is_missing(tmp_path, monkeypatch):
    (tmp_path / "assets").mkdir()
    for name in ("report.css", *page_module._SCRIPTS):
        (tmp_path / "assets" / name).write_text("")
    (tmp_path / "assets" / "report.html").write_text("{{ model.name }} {{ model.colour }}")
    monkeypatch.setattr(page_module, "_ASSETS", tmp_path / "assets")
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"report\.html asks for a field that there is not: .*colour"):
        publish(tmp_path / "out", [], MODEL)
    assert not (tmp_path / "out" / "report.html").exists()


def test_resumed_run_gives_the_complete_report(tmp_path):
    write_photographs(tmp_path / "in", ["a.png", "b.png"], size=(40, 40))
    job = job_of(tmp_path / "out")
    first = surveyed(tmp_path / "in", job)
    whole = publish(tmp_path / "out", first, MODEL).read_text()
    (tmp_path / "out" / ".report" / "b.js").unlink()
    again = surveyed(tmp_path / "in", job)
    assert again == first
    same = publish(tmp_path / "out", again, MODEL).read_text()
    strip = lambda text: text[text.index("</header>") :]  # noqa: E731 - the time above it differs
    assert strip(same) == strip(whole)
