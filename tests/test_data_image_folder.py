"""Class folders: layouts, units, and files that don't belong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gatekeeper.data import load
from gatekeeper.data.dataset import Dataset
from gatekeeper.errors import DataError
from tests.data_layouts import SALT, class_folders, spec, write_image


def read(path: Path, **options: object) -> Dataset:
    return load(spec("image-folder", path, **options))  # type: ignore[arg-type]


def refusal(path: Path, **options: object) -> DataError:
    with pytest.raises(DataError) as caught:
        read(path, **options)
    return caught.value


def test_each_image_is_a_unit_named_by_its_path(tmp_path: Path) -> None:
    data = read(class_folders(tmp_path / "moles"))
    assert data.classes == ("melanoma", "naevus")
    assert set(data.train.names + data.test.names) == {
        f"{name}/case-{image}/{image}.png" for name in data.classes for image in range(5)
    }
    assert data.name == "moles"


def test_the_unit_folder_joins_what_lies_beneath_it_in_any_class(tmp_path: Path) -> None:
    for seed, path in enumerate(
        ("naevus/ann/1", "naevus/ann/visit/2", "melanoma/ann/3", "naevus/bob/1", "melanoma/cy/1")
    ):
        write_image(tmp_path / f"{path}.png", seed)
    data = read(tmp_path, unit="folder")
    assert set(data.train.names + data.test.names) == {"ann", "bob", "cy"}


def test_the_unit_folder_needs_folders(tmp_path: Path) -> None:
    stray = write_image(class_folders(tmp_path) / "naevus" / "stray.png", 99)
    error = refusal(tmp_path, unit="folder")
    assert error.where == str(stray)
    assert "directly in its class folder" in error.message


def test_images_of_a_folder_stay_together_when_it_divides(tmp_path: Path) -> None:
    data = read(class_folders(tmp_path), by="folder")
    assert not set(data.train.groups) & set(data.test.groups)
    assert data.test.units == 2 * len(set(data.test.groups))


def test_train_and_test_folders_are_the_given_split(tmp_path: Path) -> None:
    class_folders(tmp_path / "train")
    for seed, name in enumerate(("naevus", "melanoma")):
        write_image(tmp_path / "test" / name / "x.png", 900 + seed)
        write_image(tmp_path / "val" / name / "x.png", 800 + seed)
    data = read(tmp_path, test=None)
    assert data.classes == ("melanoma", "naevus")
    assert (data.train.units, data.test.units) == (10, 2)


def test_a_folder_on_both_given_sides_is_refused(tmp_path: Path) -> None:
    class_folders(tmp_path / "train")
    write_image(tmp_path / "test" / "naevus" / "case-3" / "x.png", 900)
    assert "folder 'case-3' has images on both sides" in refusal(tmp_path, unit="folder", test=None).message


def test_digest_does_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    first = read(class_folders(tmp_path / "here")).digest(salt=SALT)
    assert read(class_folders(tmp_path / "there")).digest(salt=SALT) == first


def test_hidden_and_desktop_files_are_passed_over(tmp_path: Path) -> None:
    root = class_folders(tmp_path)
    (root / "README.md").write_text("about")
    for stray in (root / ".git" / "x.png", root / "naevus" / ".DS_Store", root / "naevus" / "Thumbs.db"):
        stray.parent.mkdir(exist_ok=True)
        stray.touch()
    data = read(root)
    assert data.train.units + data.test.units == 10


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    (class_folders(tmp_path) / "naevus" / "notes.txt").write_text("x")
    error = refusal(tmp_path)
    assert error.where == str(tmp_path / "naevus" / "notes.txt")
    assert ".png" in str(error.hint)


def test_a_corrupt_image_is_named(tmp_path: Path) -> None:
    bad = class_folders(tmp_path) / "naevus" / "case-1" / "1.png"
    bad.write_bytes(bad.read_bytes()[:60])
    assert refusal(tmp_path).where == str(bad)


def test_an_image_outside_of_the_classes_is_refused(tmp_path: Path) -> None:
    stray = write_image(class_folders(tmp_path) / "stray.png", 99)
    assert refusal(tmp_path).where == str(stray)


def test_an_empty_class_is_refused(tmp_path: Path) -> None:
    (class_folders(tmp_path) / "rare").mkdir()
    assert refusal(tmp_path).where == str(tmp_path / "rare")


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    assert "no class folders" in refusal(tmp_path).message


def test_a_copy_in_another_class_is_refused(tmp_path: Path) -> None:
    root = class_folders(tmp_path)
    (root / "melanoma" / "copy.png").write_bytes((root / "naevus" / "case-0" / "0.png").read_bytes())
    assert "'melanoma/copy.png' and 'naevus/case-0/0.png'" in refusal(root).message


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    outside = write_image(tmp_path / "outside.png", 99)
    link = class_folders(tmp_path / "data") / "naevus" / "link.png"
    link.symlink_to(outside)
    error = refusal(tmp_path / "data")
    assert error.where == str(link)
    assert "leads out" in error.message


def test_a_linked_folder_is_refused(tmp_path: Path) -> None:
    root = class_folders(tmp_path)
    (root / "naevus" / "again").symlink_to(root / "naevus", target_is_directory=True)
    assert "does not lead to a file" in refusal(root).message


def test_a_dangling_link_is_refused(tmp_path: Path) -> None:
    root = class_folders(tmp_path)
    (root / "naevus" / "gone.png").symlink_to(root / "nothing.png")
    assert "does not lead to a file" in refusal(root).message


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    root = class_folders(tmp_path)
    source = root / ".store.png"
    write_image(source, 99)
    (root / "naevus" / "linked.png").symlink_to(source)
    data = read(root)
    assert "naevus/linked.png" in data.train.names + data.test.names


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(class_folders(tmp_path) / "naevus" / "pipe.png")
    assert "neither a file nor a folder" in refusal(tmp_path).message


def test_a_name_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    root = class_folders(tmp_path)
    source = write_image(tmp_path / "naevus" / "x.png", 99)
    os.rename(os.fsencode(source), os.fsencode(root / "naevus") + b"/\xff.png")
    error = refusal(root)
    assert "not valid Unicode" in error.message
    assert str(error)


def test_a_name_with_a_line_break_is_refused(tmp_path: Path) -> None:
    write_image(class_folders(tmp_path) / "naevus" / "a\nb.png", 99)
    assert "control character" in refusal(tmp_path).message


def test_names_that_look_alike_are_one_name_on_every_system(tmp_path: Path) -> None:
    composed, decomposed = "na\u00efvus", "nai\u0308vus"
    first = read(class_folders(tmp_path / "a", classes=(composed, "melanoma")))
    second = read(class_folders(tmp_path / "b", classes=(decomposed, "melanoma")))
    assert first.digest(salt=SALT) == second.digest(salt=SALT)


def test_a_file_where_a_folder_is_expected_is_refused(tmp_path: Path) -> None:
    assert "folder is expected" in refusal(write_image(tmp_path / "a.png")).message


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent").where == str(tmp_path / "absent")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "fodler"}, "unit 'fodler' is not a column"),
        ({"by": "patient"}, "split.by 'patient' is not a column"),
        ({"label": "dx"}, "label 'dx' is not a column"),
    ],
)
def test_a_column_that_there_is_not_is_refused(tmp_path: Path, options: dict[str, str], message: str) -> None:
    error = refusal(class_folders(tmp_path), **options)
    assert message in error.message
    assert "there is" in str(error.hint)


def test_the_hint_guesses_what_was_meant(tmp_path: Path) -> None:
    assert "did you mean 'folder'?" in str(refusal(class_folders(tmp_path), unit="fodler").hint)
