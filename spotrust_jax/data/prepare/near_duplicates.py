"""Near-duplicate photographs: perceptual hashes, the pairs that are close by them, and groups that pairs join.

audit.py says what such a pair means for the splits.
"""

from collections.abc import Sequence

import imagehash
import numpy as np
from jaxtyping import Int64, UInt8, UInt64
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HASH_SIDE = 16
"""Rows and columns of the perceptual hash: 256 bits."""

NEAR_BITS = 64
"""Two photographs are near-duplicates if at most this many of the 256 bits differ.

Between 79 inspection photographs, with several views of most objects, at least 92 bits differ, also when one is turned
or mirrored; between unrelated ones 128 on average. Copies of them differ by at most 4 bits when resized, 8 as JPEG of
quality 10, 36 with the brightness times 1.5, 54 with 2% cut off at two sides and 62 with 2.5% cut off at all four.
"""

_ROWS_AT_ONCE = 256  # photographs compared with all others at a time, so that memory does not grow with their square


def perceptual_hashes(image: UInt8[np.ndarray, "_ _ 3"]) -> UInt64[np.ndarray, "8 4"]:
    """Hashes of the photograph as it is (the first) and in its seven other turned and mirrored positions."""
    # The hash is taken from a greyscale thumbnail of this size anyway, and turning that is cheap.
    side = 4 * HASH_SIDE
    small = np.asarray(Image.fromarray(image).convert("L").resize((side, side), Image.Resampling.LANCZOS))
    positions = [np.rot90(layout, turn) for layout in (small, small[:, ::-1]) for turn in range(4)]
    bits = [imagehash.phash(Image.fromarray(position), HASH_SIDE).hash.ravel() for position in positions]
    return np.packbits(bits, axis=-1).view(np.uint64)


def similar_pairs(hashes: UInt64[np.ndarray, "photograph 8 4"]) -> Int64[np.ndarray, "pair 2"]:
    """Index pairs, the smaller first and in order, of the photographs of which at most `NEAR_BITS` bits differ."""
    upright, positions = hashes[:, 0], hashes.transpose(1, 2, 0)
    pairs = [np.empty((0, 2), np.int64)]
    for start in range(0, len(hashes), _ROWS_AT_ONCE):
        block = upright[start : start + _ROWS_AT_ONCE]
        near = _nearest_bits(block, positions[..., start:]) <= NEAR_BITS
        pairs.append(np.argwhere(np.triu(near, k=1)) + start)
    return np.concatenate(pairs)


def joined_groups(groups: Sequence[str], pairs: Int64[np.ndarray, "pair 2"]) -> list[str]:
    """A group for each photograph; equal groups and near-duplicates share one, the first name of those joined."""
    names, labels = np.unique(np.array(groups, dtype=object), return_inverse=True)
    first, second = labels[pairs].T
    links = coo_array((np.ones(len(pairs), bool), (first, second)), shape=(len(names), len(names)))
    _, component = connected_components(links, directed=False)
    # The names are sorted, so that the first of each component is its smallest.
    _, smallest = np.unique(component, return_index=True)
    return [str(names[smallest[component[label]]]) for label in labels]


def _nearest_bits(
    block: UInt64[np.ndarray, "row 4"], positions: UInt64[np.ndarray, "8 4 photograph"]
) -> UInt8[np.ndarray, "row photograph"]:
    """How many bits differ at least, over the eight positions; 255 stands for all 256 as well."""
    nearest = np.full((len(block), positions.shape[-1]), 255, np.uint8)
    for words in positions:
        different = sum(
            np.bitwise_count(block[:, word, None] ^ words[word]).astype(np.uint16) for word in range(len(words))
        )
        np.minimum(nearest, np.minimum(different, 255).astype(np.uint8), out=nearest)
    return nearest
