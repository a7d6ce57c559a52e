"""Small sources made by hand: photographs are 8 pixels wide and 6 high."""

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def put(tmp_path):
    """Writes a file below the source `tmp_path`: text, bytes, an object as JSON, pixels; a photograph by default."""

    def put(name, content=None, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str | bytes):
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        elif isinstance(content, dict | list):
            path.write_text(json.dumps(content))
        else:
            pixels = np.full((6, 8, 3), 90, np.uint8) if content is None else content
            Image.fromarray(pixels).save(path, **options)
        return path

    return put


@pytest.fixture
def names():
    """Names of a source's photographs."""
    return lambda source: [photograph.name for photograph in source.photographs]


@pytest.fixture
def found():
    """Kind, file and whether it was left out, of each finding, whose message must be one line that names the file."""

    def found(findings):
        for finding in findings:
            assert "\n" not in finding.message
            assert ": " in finding.message  # the remedy
            assert finding.file.rsplit("/", 1)[-1].rsplit(".", 1)[0] in finding.message
        return [(finding.kind, finding.file, finding.left_out) for finding in findings]

    return found
