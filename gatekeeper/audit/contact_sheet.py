"""Pairs of images on one sheet, as a PNG file that says of itself that it is confidential."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

_TILE, _GAP, _LINE = 96, 4, 14
_BANNER = "CONFIDENTIAL: training images of the people in the data, and reconstructions of them"


def contact_sheet(rows: list[tuple[str, NDArray[np.float64]]]) -> bytes:
    """A PNG file with a titled row of images for each entry.

    Args:
        rows: titles, and images in [0, 1], shape (images, channels, *spatial). Of volumes the middle slice is shown; of
            other than one or three channels the first.
    """
    columns = max(len(images) for _, images in rows)
    width = max(columns * (_TILE + _GAP) + _GAP, 7 * len(_BANNER))
    height = _LINE + len(rows) * (_LINE + _TILE + _GAP)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, 1), _BANNER, fill="red")
    for number, (title, images) in enumerate(rows):
        top = _LINE + number * (_LINE + _TILE + _GAP)
        draw.text((_GAP, top + 1), title, fill="black")
        for column, image in enumerate(images):
            sheet.paste(_tile(image), (_GAP + column * (_TILE + _GAP), top + _LINE))
    content = io.BytesIO()
    sheet.save(content, format="PNG")
    return content.getvalue()


def _tile(image: NDArray[np.float64]) -> Image.Image:
    channels, *spatial = image.shape
    flat = image if len(spatial) < 3 else image[:, spatial[0] // 2]
    picture = flat if channels == 3 else np.repeat(flat[:1], 3, axis=0)
    pixels = np.rint(picture.transpose(1, 2, 0) * 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((_TILE, _TILE), Image.Resampling.NEAREST)
