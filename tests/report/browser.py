"""Chromium without a window, and a page opened in it that must not complain or ask for anything from elsewhere."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'spotrust-jax[dev]'")
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium, or set CHROMIUM to its path")
    with sync_api.sync_playwright() as playwright:
        # The first is for containers, where Chromium may not make a sandbox of its own.
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def opened(browser, path: Path, **options):
    """The report at `path`; what it complains of or asks for elsewhere fails the test at the end."""
    page = browser.new_page(viewport={"width": 1280, "height": 800}, **options)
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.resolve().as_uri())
    yield page
    page.close()
    assert complaints == []
    below = path.resolve().parent.as_uri()
    elsewhere = [url for url in requests if not url.startswith((f"{below}/", "data:", "blob:"))]
    assert elsewhere == []


def wait_until(page, condition: str) -> None:
    """Until an expression of JavaScript is true; Playwright's own way needs eval, which the page forbids."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{condition} is still false after 10 seconds")
