"""Writing and marks: fiducial cards, stencilled letters, time stamps. All drawn in numpy from a font of 5 by 7 dots."""

import numpy as np

from spotrust_jax.data.synthetic import colours
from spotrust_jax.data.synthetic.sheet import Sheet, blend, step

# Seven rows of five dots a glyph, each row a number whose highest of five bits is its leftmost dot.
_GLYPHS = {
    "0": (14, 17, 19, 21, 25, 17, 14), "1": (4, 12, 4, 4, 4, 4, 14), "2": (14, 17, 1, 2, 4, 8, 31),
    "3": (31, 2, 4, 2, 1, 17, 14), "4": (2, 6, 10, 18, 31, 2, 2), "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (6, 8, 16, 30, 17, 17, 14), "7": (31, 1, 2, 4, 8, 8, 8), "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 2, 12), "A": (14, 17, 17, 31, 17, 17, 17), "B": (30, 17, 17, 30, 17, 17, 30),
    "C": (14, 17, 16, 16, 16, 17, 14), "E": (31, 16, 16, 30, 16, 16, 31), "H": (17, 17, 17, 31, 17, 17, 17),
    "K": (17, 18, 20, 24, 20, 18, 17), "N": (17, 25, 21, 19, 17, 17, 17), "O": (14, 17, 17, 17, 17, 17, 14),
    "R": (30, 17, 17, 30, 20, 18, 17), "S": (15, 16, 16, 14, 1, 1, 30), "T": (31, 4, 4, 4, 4, 4, 4),
    "-": (0, 0, 0, 31, 0, 0, 0), ":": (0, 4, 0, 0, 0, 4, 0), "/": (1, 1, 2, 4, 8, 16, 16), " ": (0,) * 7,
}  # fmt: skip


def dots(text: str) -> np.ndarray:
    """One line of text as dots: [9, 6 * letters], 1 where ink is, with a margin above and below."""
    rows = np.array([_GLYPHS[letter] for letter in text])
    lit = (rows[:, :, None] >> np.arange(5, -1, -1)) & 1  # the sixth, leftmost bit is the gap between letters
    return np.pad(lit.transpose(1, 0, 2).reshape(7, -1), ((1, 1), (0, 0))).astype(np.float32)


def words(sheet: Sheet, letters: int) -> str:
    """Nonsense of this length."""
    return "".join(list(_GLYPHS)[i] for i in sheet.rng.integers(len(_GLYPHS), size=letters))


def time_stamp(sheet: Sheet) -> str:
    """Date and time as cameras print them."""
    ranges = (2004, 2030), (1, 13), (1, 29), (0, 24), (0, 60)
    year, month, day, hour, minute = (int(sheet.rng.integers(*ends)) for ends in ranges)
    return f"{year}/{month:02}/{day:02} {hour:02}:{minute:02}"


def print_on(picture: np.ndarray, ink: np.ndarray, pattern: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The pattern's dots in the colour `ink` where u (to the right) and v (down), from 0 to 1, fall on them."""
    rows, columns = pattern.shape
    inside = (u >= 0) & (u < 1) & (v >= 0) & (v < 1)
    j = np.clip((u * columns).astype(np.int64), 0, columns - 1)
    i = np.clip((v * rows).astype(np.int64), 0, rows - 1)
    return blend(picture, ink, pattern[i, j] * inside)


def with_time_stamp(sheet: Sheet, picture: np.ndarray) -> np.ndarray:
    """Printed into a corner by the camera, orange or white."""
    pattern = dots(time_stamp(sheet))
    height = np.float32(sheet.uniform(0.045, 0.08))
    width = height * np.float32(pattern.shape[1] / pattern.shape[0])
    u = (sheet.x - np.float32(0.47) + width) / width if sheet.bernoulli(0.7) else (sheet.x + np.float32(0.47)) / width
    v = (sheet.y - np.float32(0.47) + height) / height
    ink = colours.colour_of(sheet, [(240, 130, 40), (244, 196, 60), (250, 250, 250)])
    return print_on(picture, ink, pattern, u, v)


def with_lettering(sheet: Sheet, picture: np.ndarray) -> np.ndarray:
    """A word stencilled or sprayed on, at an angle."""
    pattern = dots(words(sheet, int(sheet.rng.integers(2, 9))))
    u, v, _ = _placed(sheet, sheet.uniform(0.05, 0.2), pattern.shape[1] / pattern.shape[0])
    lists = (colours.BLACK, colours.PALE, colours.COLOURED, colours.RUSTY)
    return print_on(picture, colours.colour_of(sheet, lists[sheet.rng.integers(4)]), pattern, u, v)


def with_card(sheet: Sheet, picture: np.ndarray, coverage: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A fiducial card, black with a white code, stuck over the picture and over what is corroded under it."""
    cells = int(sheet.rng.integers(3, 6))
    code = np.pad((sheet.rng.random((cells, cells)) < 0.45).astype(np.float32), 1)
    u, v, pixel = _placed(sheet, float(np.exp(sheet.uniform(-3, -0.9))), sheet.uniform(0.6, 1.4))
    card = step(np.minimum(0.5 - np.abs(u - 0.5), 0.5 - np.abs(v - 0.5)), 1.5 * pixel)
    black = np.float32(sheet.uniform(0.02, 0.14)) * (1 + 0.2 * (u + v))
    picture = blend(picture, np.stack([black, black, 1.1 * black]), card)
    white = np.full((3, 1, 1), sheet.uniform(0.75, 1.0), np.float32)
    return print_on(picture, white, code, u, v), coverage * (1 - card)


def _placed(sheet: Sheet, height: float, aspect: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Coordinates from 0 to 1 over a parallelogram somewhere in the image, and the size of a pixel in them."""
    angle, shear = sheet.rng.normal(0, 0.25), np.float32(sheet.rng.normal(0, 0.2))
    centre = sheet.rng.uniform(-0.4, 0.4, 2).astype(np.float32)
    x, y = sheet.x - centre[0], sheet.y - centre[1]
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u, v = cosine * x + sine * y, cosine * y - sine * x
    return (u + shear * v) / np.float32(height * aspect) + 0.5, v / np.float32(height) + 0.5, 1 / (sheet.size * height)
