"""The picture of the report in the README: a drawn scene in the viewer, from what the quickstart wrote.

bash launch/quickstart.sh
python -m experiments.report_picture --output=docs/report.png
"""

import io
import shutil
from pathlib import Path

from absl import app, flags
from PIL import Image
from playwright.sync_api import sync_playwright

_REPORT = flags.DEFINE_string("report", "runs/quickstart/scenes/report.html", "Page that the quickstart wrote.")
_SCENE = flags.DEFINE_string("scene", "test_0000.png", "Scene to open.")
_OUTPUT = flags.DEFINE_string("output", "docs/report.png", "Picture to write, PNG.")

_SIZE = {"width": 1280, "height": 800}


def main(_: list[str]) -> None:
    """Writes the picture."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=_SIZE)
        page.goto(Path(_REPORT.value).resolve().as_uri())
        page.locator(".card button").filter(has_text=_SCENE.value).click()
        page.locator("#loading").wait_for(state="hidden")
        shown = page.screenshot()
        browser.close()
    Image.open(io.BytesIO(shown)).convert("RGB").quantize(256).save(_OUTPUT.value, optimize=True)


if __name__ == "__main__":
    app.run(main)
