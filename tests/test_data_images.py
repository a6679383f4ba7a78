"""Decoding: what becomes of each kind of image, and which files are refused."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gatekeeper.data import images
from gatekeeper.data.images import decode, decode_all
from gatekeeper.errors import DataError
from tests.data_layouts import pixels, write_image
from tests.reference.naive_resize import resize


def read(path: Path, *, image_size: tuple[int, int] | None = None, channels: int | None = None) -> NDArray[np.uint8]:
    return decode(path, image_size=image_size, channels=channels)


def save(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    assert caught.value.where == str(path)
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_colour_pixels_are_read_exactly(tmp_path: Path, suffix: str) -> None:
    path = write_image(tmp_path / f"a{suffix}", 3, shape=(5, 7, 3))
    assert np.array_equal(read(path), np.moveaxis(pixels(3, shape=(5, 7, 3)), -1, 0))


def test_grey_pixels_are_read_exactly(tmp_path: Path) -> None:
    assert np.array_equal(read(write_image(tmp_path / "a.png", 3, shape=(5, 7)))[0], pixels(3, shape=(5, 7)))


def test_jpeg_is_read_nearly(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(16, dtype=np.uint8), np.arange(16, dtype=np.uint8)) * 4
    path = save(Image.fromarray(smooth), tmp_path / "a.jpg", quality=95)
    assert np.abs(read(path)[0].astype(int) - smooth).max() <= 4


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = read(write_image(tmp_path / "a.png", shape=(5, 7)), channels=3)
    assert grey.shape == (3, 5, 7)
    assert np.array_equal(grey[0], grey[1])
    assert np.array_equal(grey[0], grey[2])


def test_colour_becomes_luma(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", 3)
    luma = np.tensordot(pixels(3).astype(float), [0.299, 0.587, 0.114], axes=([2], [0]))
    assert np.abs(read(path, channels=1)[0] - luma).max() <= 1


def test_palette_becomes_colour(tmp_path: Path) -> None:
    image = Image.fromarray(pixels(1)).quantize(7)
    assert np.array_equal(read(save(image, tmp_path / "a.png")), np.moveaxis(np.asarray(image.convert("RGB")), -1, 0))


def test_bilevel_becomes_grey(tmp_path: Path) -> None:
    image = Image.fromarray(pixels(1, shape=(8, 8))).convert("1")
    assert set(np.unique(read(save(image, tmp_path / "a.png")))) == {0, 255}


def test_the_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90° clockwise to view
    upright = save(Image.fromarray(pixels(2, shape=(5, 7, 3))), tmp_path / "a.png", exif=exif)
    assert np.array_equal(read(upright), np.moveaxis(np.rot90(pixels(2, shape=(5, 7, 3)), k=-1), -1, 0))


def test_resizing_averages_areas(tmp_path: Path) -> None:
    halves = np.zeros((32, 32), dtype=np.uint8)
    halves[::2] = 200
    small = read(save(Image.fromarray(halves), tmp_path / "a.png"), image_size=(4, 8))
    assert small.shape == (1, 4, 8)
    assert np.abs(small[0, 1:3].astype(int) - 100).max() <= 5


@pytest.mark.parametrize("size", [(5, 6), (16, 4), (24, 40), (11, 16)])
def test_resizing_is_a_triangle_filter(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_image(tmp_path / "a.png", 5, shape=(16, 16))
    naive = resize(pixels(5, shape=(16, 16)), height=size[0], width=size[1])
    assert np.abs(read(path, image_size=size)[0] - naive).max() <= 1


def test_opaque_transparency_is_dropped(tmp_path: Path) -> None:
    colour = Image.fromarray(pixels(1))
    grey = Image.fromarray(pixels(1, shape=(8, 8)))
    for image in (colour.convert("RGBA"), grey.convert("LA")):
        opaque = read(save(image, tmp_path / "a.png"))
        assert len(opaque) == (3 if image.mode == "RGBA" else 1)
    assert np.array_equal(read(save(colour.convert("RGBA"), tmp_path / "a.png")), np.moveaxis(pixels(1), -1, 0))


def test_an_opaque_palette_entry_is_dropped(tmp_path: Path) -> None:
    image = Image.fromarray(pixels(1)).quantize(7)
    expected = np.moveaxis(np.asarray(image.convert("RGB")), -1, 0)
    assert np.array_equal(read(save(image, tmp_path / "a.png", transparency=bytes([255] * 7))), expected)


def test_a_transparent_palette_entry_is_refused(tmp_path: Path) -> None:
    image = Image.fromarray(pixels(1)).quantize(7)
    assert "transparent" in refusal(save(image, tmp_path / "a.png", transparency=bytes([255] * 6 + [0])))


def test_transparent_pixels_are_refused(tmp_path: Path) -> None:
    image = Image.fromarray(pixels(1)).convert("RGBA")
    image.putpixel((3, 3), (0, 0, 0, 254))
    assert "transparent" in refusal(save(image, tmp_path / "a.png"))


def test_a_transparent_colour_is_refused(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8))
    assert "transparent" in refusal(save(image, tmp_path / "a.png", transparency=(0, 0, 0)))


@pytest.mark.parametrize(
    ("dtype", "suffix"), [(np.uint16, ".png"), (np.uint16, ".tif"), (np.int32, ".tif"), (np.float32, ".tif")]
)
def test_deep_grey_is_refused(tmp_path: Path, dtype: type, suffix: str) -> None:
    image = Image.fromarray(np.arange(64).reshape(8, 8).astype(dtype))
    assert "more than 8 bits" in refusal(save(image, tmp_path / f"a{suffix}"))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_deep_colour_is_refused_although_pillow_would_cut_it(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for colour, mode, channels in ((2, "RGB", 3), (6, "RGBA", 4)):
        path.write_bytes(png(4, 4, 16, colour, (b"\0" + bytes(8 * channels)) * 4))
        with Image.open(path) as image:
            assert image.mode == mode
        assert "more than 8 bits" in refusal(path)


@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
def test_colours_that_need_a_profile_are_refused_by_name(tmp_path: Path, mode: str) -> None:
    assert mode in refusal(save(Image.new(mode, (8, 8)), tmp_path / "a.tif", compression="raw"))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_several_frames_are_refused(tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(pixels(seed)) for seed in range(2)]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    assert "several frames" in refusal(tmp_path / f"a{suffix}")


def test_an_animated_gif_is_refused_whatever_it_is_called(tmp_path: Path) -> None:
    Image.fromarray(pixels(0)).save(tmp_path / "a.gif")
    assert "not an image that can be read" in refusal((tmp_path / "a.gif").rename(tmp_path / "a.png"))


def test_a_huge_header_is_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(10_000, 5_001, 1, 0, b""))
    assert "10000×5001 pixels; the limit is 50000000" in refusal(path)


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    for side in (10_000, 100_000):  # beyond Pillow's warning, and beyond its error
        path = tmp_path / "bomb.png"
        path.write_bytes(png(side, side, 1, 0, b""))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as in a program that silences warnings
            assert "bomb" in refusal(path)


def test_a_text_bomb_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png")
    data = path.read_bytes()
    text = chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(80 * 2**20)))
    path.write_bytes(data[:33] + text + data[33:])
    assert "malformed" in refusal(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.touch()
    assert "empty" in refusal(path)


def test_a_large_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 100)
    assert "the limit for one image is 100" in refusal(write_image(tmp_path / "a.png"))


def test_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("I am a picture")
    assert "not an image" in refusal(path)


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read"):
        read(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str) -> None:
    data = write_image(tmp_path / f"a{suffix}", shape=(32, 32, 3)).read_bytes()
    for share in (0.05, 0.3, 0.6, 0.9):
        (tmp_path / f"b{suffix}").write_bytes(data[: int(share * len(data))])
        assert refusal(tmp_path / f"b{suffix}")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_a_mutated_file_is_read_or_refused(tmp_path: Path, suffix: str) -> None:
    data = write_image(tmp_path / f"a{suffix}").read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        mutated = bytearray(data)
        mutated[generator.integers(min(len(data), 60))] ^= generator.integers(1, 256)
        (tmp_path / f"b{suffix}").write_bytes(mutated)
        try:
            assert read(tmp_path / f"b{suffix}").ndim == 3
        except DataError:
            refused += 1
    assert refused > 20


def test_images_of_two_sizes_are_refused_by_name(tmp_path: Path) -> None:
    paths = [write_image(tmp_path / "a.png"), write_image(tmp_path / "b.png", shape=(9, 8, 3))]
    with pytest.raises(DataError, match=r"b\.png: its .* \(3, 9, 8\), those of .*a\.png are \(3, 8, 8\)") as caught:
        decode_all(paths, image_size=None, channels=None, source="memory")
    assert "image_size" in str(caught.value.hint)
    assert decode_all(paths, image_size=(8, 8), channels=None, source="memory").shape == (2, 3, 8, 8)


def test_grey_among_colour_is_refused_by_name(tmp_path: Path) -> None:
    paths = [write_image(tmp_path / "a.png"), write_image(tmp_path / "b.png", shape=(8, 8))]
    with pytest.raises(DataError, match=r"b\.png") as caught:
        decode_all(paths, image_size=None, channels=None, source="memory")
    assert "channels" in str(caught.value.hint)
    assert decode_all(paths, image_size=None, channels=1, source="memory").shape == (2, 1, 8, 8)


def test_more_memory_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_TOTAL_BYTES", 2 * 192 - 1)
    paths = [write_image(tmp_path / "a.png"), write_image(tmp_path / "b.png", 1)]
    with pytest.raises(DataError, match="GiB of memory") as caught:
        decode_all(paths, image_size=None, channels=None, source="memory")
    assert "image_size" in str(caught.value.hint)
