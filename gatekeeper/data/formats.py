"""What each data format looks like on disk: the text behind `gatekeeper data` and `gatekeeper init`.

Standard library only, so that asking for help loads neither numpy nor Pillow.
"""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.core.data_spec import DataFormat


@dataclass(frozen=True, kw_only=True, slots=True)
class FormatDescription:
    """One data format, in words.

    Attributes:
        name: the value of `data.format`.
        summary: what it is, in one line.
        layout: what lies where.
        units: the columns that `data.unit` and `split.by` may name.
        label: the column that is the class unless `data.label` names another.
        gives_split: whether training and test sides come with the data.
    """

    name: DataFormat
    summary: str
    layout: str
    units: str
    label: str
    gives_split: bool


FORMATS: tuple[FormatDescription, ...] = (
    FormatDescription(
        name="digits",
        summary="1,797 real handwritten digits of 8×8 pixels, ten classes; ships with scikit-learn",
        layout='no files; needs the extra "gatekeeper[digits]"',
        units="image",
        label="digit",
        gives_split=False,
    ),
    FormatDescription(
        name="phantom-lesions",
        summary="generated photographs of skin lesions, three classes; synthetic",
        layout="no files; drawn from data.phantom (patients, seed)",
        units="image, lesion, patient",
        label="diagnosis",
        gives_split=False,
    ),
    FormatDescription(
        name="phantom-abdomen",
        summary="generated CT slices or volumes of the abdomen with masks of liver and lesions; synthetic",
        layout="no files; drawn from data.phantom (patients, seed, dimensions, size)",
        units="image, patient",
        label="mask",
        gives_split=False,
    ),
    FormatDescription(
        name="medmnist",
        summary="a MedMNIST archive of 2-D images with one label each",
        layout="NAME.npz with train_images, train_labels, test_images, test_labels; a val part is left out",
        units="image",
        label="label",
        gives_split=True,
    ),
    FormatDescription(
        name="image-folder",
        summary="one folder for each class",
        layout="FOLDER/CLASS/…/IMAGE, or FOLDER/train/CLASS/… beside FOLDER/test/CLASS/… (a val folder is left out)",
        units="image, folder (the one directly beneath the class)",
        label="class",
        gives_split=False,
    ),
    FormatDescription(
        name="ham10000",
        summary="a metadata table beside its images, as in HAM10000",
        layout="FOLDER/HAM10000_metadata.csv or metadata.csv, and IMAGE_ID.jpg or .png anywhere beneath FOLDER",
        units="image, and every column of the table",
        label="dx",
        gives_split=False,
    ),
    FormatDescription(
        name="radimagenet",
        summary="tables of file names beside a tree of folders, as in RadImageNet",
        layout="FOLDER/RadiologyAI_train.csv beside …_test.csv (…_val.csv is left out), or one table, or none, and "
        "MODALITY/ANATOMY/CLASS/IMAGE beneath FOLDER",
        units="image, and every column of the tables",
        label="label",
        gives_split=True,
    ),
    FormatDescription(
        name="numpy",
        summary="NumPy arrays: images, 2-D or volumes, with labels or masks",
        layout="NAME.npz, or a folder of .npy files: images, labels or masks, and a column for each owner",
        units="image, and every other array with a value for each image",
        label="labels",
        gives_split=False,
    ),
    FormatDescription(
        name="factory",
        summary="what a function of yours yields, where the policy allows its code",
        layout="no files of its own; data.factory is package.module:function or path/to/file.py:function",
        units="image, and every key of the items but image, label and mask",
        label="label",
        gives_split=True,
    ),
    FormatDescription(
        name="msd",
        summary="volumes with masks, as in the Medical Segmentation Decathlon, as axial slices or as they are",
        layout='FOLDER/dataset.json beside imagesTr and labelsTr with *.nii.gz; needs the extra "gatekeeper[medical]"',
        units="case, and every column of data.scan.table (which has a column case)",
        label="mask",
        gives_split=False,
    ),
    FormatDescription(
        name="dicom",
        summary="DICOM files: each an image, or series as volumes",
        layout='FOLDER/CLASS/…/FILE, or a table data.scan.table of labels; needs the extra "gatekeeper[medical]"',
        units="patient, study, series, and every column of data.scan.table",
        label="folder, or label with a table",
        gives_split=False,
    ),
)
