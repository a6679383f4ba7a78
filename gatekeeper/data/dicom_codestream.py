"""How large a compressed frame says that it is, before a decoder takes memory for it.

A decoder believes the frame, not the DICOM header around it: a few hundred bytes may ask for gigabytes.

| compression | where it says its size |
| --- | --- |
| JPEG (ITU-T T.81, B.2.2), JPEG-LS (T.87, C.2.2) | the frame header: markers FFC0 … FFCF but C4, C8 and CC, and FFF7 |
| JPEG 2000 (T.800, A.5.1) | the marker SIZ |
"""

from __future__ import annotations

_JPEG = b"\xff\xd8"
_JPEG_2000 = b"\xff\x4f\xff\x51"
_JP2 = b"\x00\x00\x00\x0cjP  "
_NO_FRAME = (0xC4, 0xC8, 0xCC)
_ALONE = (0x01, *range(0xD0, 0xDA))


def frame_size(code: bytes) -> tuple[int, int] | None:
    """Height and width in pixels, or None for what is neither JPEG, JPEG-LS nor JPEG 2000, or says none."""
    if code.startswith(_JP2):
        code = code[max(0, code.find(_JPEG_2000)) :]
    if code.startswith(_JPEG_2000):
        if len(code) < 24:
            return None
        right, bottom, left, top = (int.from_bytes(code[place : place + 4], "big") for place in (8, 12, 16, 20))
        return bottom - top, right - left
    return _jpeg_size(code) if code.startswith(_JPEG) else None


def _jpeg_size(code: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 4 <= len(code):
        if code[place] != 0xFF:
            return None
        marker = code[place + 1]
        if marker == 0xFF or marker in _ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME):
            if place + 9 > len(code):
                return None
            return int.from_bytes(code[place + 5 : place + 7], "big"), int.from_bytes(
                code[place + 7 : place + 9], "big"
            )
        place += 2 + int.from_bytes(code[place + 2 : place + 4], "big")
    return None
