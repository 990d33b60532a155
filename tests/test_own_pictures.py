"""Data sets of any origin: what `fetch` and `preprocess` make of them, and what they refuse."""

import io
import json
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fashion_mnist.ingest import idx
from fashion_mnist.storage import dataset
from fashion_mnist.storage.dataset import Labelled
from tests.conftest import Call, Workspace

GRAY = {"height": 8, "width": 6, "channels": 1}
COLOUR = GRAY | {"channels": 3}


def shade(level: int, size: tuple[int, int] = (6, 8), mode: str = "L") -> Image.Image:
    return Image.new("L", size, level).convert(mode)


def save(image: Image.Image, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def write_pictures(folder: Path, classes: str = "cat dog", count: int = 5) -> None:
    """Folders of pictures, each picture of a shade of its own."""
    for label, name in enumerate(classes.split()):
        for number in range(count):
            save(shade(10 * number + 100 * label), folder / name / f"{number}.png")


class Own:
    """A project whose data set is the user's own."""

    def __init__(self, workspace: Workspace, call: Call) -> None:
        self.workspace, self._call = workspace, call
        self.path = workspace.path
        self.pictures = self.path / "pictures"
        workspace.set_params(dataset="mine")

    def ingest(self, **described: Any) -> str:
        """Run both stages; the one line of the mistake that is found, or nothing."""
        described = {"format": "folder", "sources": ["pictures"]} | described
        if described["format"] == "folder":
            described = {"image": GRAY, "test_fraction": 0.4} | described
        kept = {key: value for key, value in described.items() if value is not None}
        (self.path / "datasets/mine.yaml").write_text(json.dumps(kept))
        for stage in ("stages.fetch", "stages.preprocess"):
            done = self._call(self.path, stage)
            if done.code:
                (line,) = done.err.splitlines()
                return line.removeprefix("error: ")
        return ""

    def good(self, **described: Any) -> tuple[Labelled, Labelled]:
        """The training and test images of a data set without mistakes."""
        assert self.ingest(**described) == ""
        folder = self.path / "data/processed"
        return dataset.read(folder / "train.npz"), dataset.read(folder / "test.npz")

    def begin_again(self) -> None:
        """Remove the pictures and what was made of them."""
        for folder in (self.pictures, self.path / "data/raw", self.path / "data/processed"):
            shutil.rmtree(folder, ignore_errors=True)

    def counts(self) -> dict[str, Any]:
        return json.loads((self.path / "metrics/data.json").read_text())


@pytest.fixture
def own(fresh_workspace: Workspace, tmp_path: Path, call: Call) -> Own:
    return Own(fresh_workspace.copy(tmp_path / "project"), call)


def test_folders_of_pictures_become_images_in_the_order_of_their_names(own: Own):
    write_pictures(own.pictures)
    train, test = own.good()
    assert train.classes == test.classes == ("cat", "dog")
    assert train.images.shape == (6, 8, 6)
    assert test.labels.tolist() == [0, 1] * 2 or sorted(test.labels) == [0, 0, 1, 1]
    shades = np.concatenate([train.images[:, 0, 0], test.images[:, 0, 0]])
    assert sorted(shades) == [0, 10, 20, 30, 40, 100, 110, 120, 130, 140]
    before = (own.path / "data/processed/train.npz").read_bytes()
    own.good()
    assert (own.path / "data/processed/train.npz").read_bytes() == before


def test_folders_for_training_and_test_are_kept_apart(own: Own):
    for parts in ("train test", "train test val"):
        write_pictures(own.pictures / parts.split()[-1], count=2)
        write_pictures(own.pictures / "train", count=2)
        train, test = own.good(test_fraction=None, classes=["Katze", "Hund"])
        assert (len(train.labels), len(test.labels)) == (4 * (len(parts.split()) - 1), 4), parts
        assert train.classes == ("Katze", "Hund")
        assert own.counts()["train_images_in_test"] == len(train.labels), parts


def zipped(folder: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, Path("wrapped", path.relative_to(folder)))


def tarred(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, "wrapped")


def test_an_archive_is_as_good_as_a_folder(own: Own, subtests: pytest.Subtests):
    write_pictures(own.pictures)
    expected = own.good()
    for pack, name in ((zipped, "own.zip"), (tarred, "own.tar.gz")):
        pack(own.pictures, own.path / name)
        with subtests.test(name):
            for found, wanted in zip(own.good(sources=["none", name]), expected, strict=True):
                np.testing.assert_array_equal(found.images, wanted.images)


# Each as Pillow writes it; all show the same upright picture, dark above and light below.
UPRIGHT = np.repeat(np.array([40, 200], np.uint8), [12, 12])[:, np.newaxis].repeat(18, axis=1)


def of_mode(mode: str) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(UPRIGHT).convert(mode).save(path)


def transparent(path: Path) -> None:
    """White, seen through more above than below."""
    alpha = Image.fromarray(UPRIGHT)
    Image.merge("RGBA", [Image.new("L", alpha.size, 255)] * 3 + [alpha]).save(path)


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(UPRIGHT).transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)


def of_16_bits(path: Path) -> None:
    Image.fromarray(UPRIGHT.astype(np.uint16) * 257).save(path)


KINDS = {
    "gray.png": of_mode("L"),
    "RGB.JPG": of_mode("RGB"),
    "CMYK.jpeg": of_mode("CMYK"),
    "palette.gif": of_mode("P"),
    "rgb.webp": of_mode("RGB"),
    "rgb.bmp": of_mode("RGB"),
    "rgb.TIFF": of_mode("RGB"),
    "alpha.png": transparent,
    "turned.jpg": turned,
    "16 bits.png": of_16_bits,
}


def test_a_picture_of_any_kind_becomes_the_same_image(own: Own, subtests: pytest.Subtests):
    for name in ("one", "two"):
        (own.pictures / name).mkdir(parents=True)
    for name, write in KINDS.items():
        for folder in ("one", "two"):
            write(own.pictures / folder / name)
    for image in (GRAY, COLOUR):
        for labelled in own.good(image=image, test_fraction=0.5):
            with subtests.test(channels=image["channels"]):
                assert labelled.kind.image_shape == (8, 6, image["channels"])
                assert abs(labelled.images[:, :3].astype(int) - 40).max() <= 12
                assert abs(labelled.images[:, 5:].astype(int) - 200).max() <= 12


def test_a_picture_keeps_its_aspect_on_the_background(own: Own, subtests: pytest.Subtests):
    tall = np.full((64, 32), 70, np.uint8)
    tall[:, 16:] = 180
    for name in ("one", "two"):
        for number in range(4):
            save(Image.fromarray(tall), own.pictures / name / f"{number}.png")
    for background, level in (("black", 0), ("white", 255), ("edge", None)):
        train, _ = own.good(background=background)
        row = train.images[0, 4]
        with subtests.test(background):
            np.testing.assert_allclose(row[1:5], [70, 70, 180, 180], atol=20)
            expected = [level, level] if level is not None else row[[1, -2]]
            np.testing.assert_array_equal(row[[0, -1]], expected)


def cut(own: Own) -> None:
    path = own.pictures / "cat/0.png"
    path.write_bytes(path.read_bytes()[:40])


def text(own: Own) -> None:
    for name in ("cat/a b.jpg", "dog/Ärger.PNG"):
        (own.pictures / name).write_text("no picture")


def with_heic(own: Own) -> None:
    (own.pictures / "cat/x.heic").write_bytes(b"....ftypheic")


def emptied(own: Own) -> None:
    (own.pictures / "bird").mkdir()
    (own.pictures / "bird/.DS_Store").write_text("")
    (own.pictures / "bird/notes.txt").write_text("")


def one_class(own: Own) -> None:
    shutil.rmtree(own.pictures / "dog")


def one_picture(own: Own) -> None:
    save(shade(1), own.pictures / "bird/1.png")


def another_in_test(own: Own) -> None:
    write_pictures(own.pictures / "test", "cat bird")
    for name in ("cat", "dog"):
        (own.pictures / "train").mkdir(exist_ok=True)
        (own.pictures / name).rename(own.pictures / "train" / name)


def loop(own: Own) -> None:
    (own.pictures / "cat/again").symlink_to(own.pictures)


def broken_link(own: Own) -> None:
    (own.pictures / "cat/9.png").symlink_to("nowhere")


def nothing(_: Own) -> None:
    pass


FAULTS = {
    "a damaged picture": (cut, {}, "data/raw/cat/0.png is "),
    "several that are none": (
        text,
        {},
        "data/raw/cat/a b.jpg is not a PNG, JPEG, WEBP, GIF, BMP or TIFF picture, or is cut off: "
        "save it as one of these (and 1 more cannot be read)",
    ),
    "another format": (with_heic, {}, "data/raw/cat/x.heic is not a PNG, "),
    "an empty class": (emptied, {}, "data/raw/bird holds no picture: put some in, or remove the"),
    "one class": (one_class, {}, "data/raw holds 1 class, cat: two or more folders of pictures "),
    "one picture of a class": (
        one_picture,
        {},
        "data/raw: the class bird has 1 pictures to train with: 2 or more are needed",
    ),
    "a class in test alone": (
        another_in_test,
        {},
        "data/raw/test/bird is a class that data/raw/train lacks: add it there, or remove it",
    ),
    "no test images": (nothing, {"test_fraction": None}, "data/raw has no train/ and test/: set"),
    "names for other folders": (
        nothing,
        {"classes": ["a", "b", "c"]},
        "classes: 3 names are given, and data/raw holds 2 classes: cat, dog",
    ),
    "a loop": (loop, {}, "no source gives a data set (tried pictures: holds "),
    "a link to nothing": (broken_link, {}, "no source gives a data set (tried pictures: holds "),
    "no such folder": (
        nothing,
        {"sources": ["x.zip"]},
        "no source gives a data set (tried x.zip",
    ),
}


def test_a_fault_of_a_folder_is_told_in_one_sentence_and_nothing_is_written(
    own: Own, subtests: pytest.Subtests
):
    for fault, (damage, described, said) in FAULTS.items():
        own.begin_again()
        write_pictures(own.pictures)
        damage(own)
        with subtests.test(fault):
            message = own.ingest(**described)
            assert message.startswith(said)
            assert message.isprintable()
            assert not (own.path / "data/processed/train.npz").exists()


def test_what_is_no_picture_is_left_out(own: Own):
    write_pictures(own.pictures)
    expected, _ = own.good()
    for name in (".DS_Store", "Thumbs.db", "cat/Thumbs.db", "cat/.hidden.png", ".git/x/1.png"):
        (own.pictures / name).parent.mkdir(parents=True, exist_ok=True)
        (own.pictures / name).write_text("no picture")
    (own.pictures / "README.md").write_text("# Cats and dogs")
    (own.pictures / "dog" / "0.png").rename(own.path / "linked.png")
    (own.pictures / "dog" / "0.png").symlink_to(own.path / "linked.png")
    found, _ = own.good()
    np.testing.assert_array_equal(found.images, expected.images)


def test_names_of_classes_have_spaces_and_accents(own: Own):
    write_pictures(own.pictures, "x y")
    (own.pictures / "x").rename(
        own.pictures / "e\N{COMBINING ACUTE ACCENT}t\N{LATIN SMALL LETTER E WITH ACUTE} 1"
    )
    (own.pictures / "y").rename(own.pictures / "\u00c4")
    train, _ = own.good()
    assert train.classes == ("\u00c4", "\u00e9t\u00e9 1")


def test_the_same_picture_in_two_classes_and_in_both_sets_is_counted(own: Own):
    for part in ("train", "test"):
        write_pictures(own.pictures / part, count=3)
        save(shade(7), own.pictures / part / "cat/same.png")
        save(shade(7), own.pictures / part / "dog/same.png")
    own.good(test_fraction=None)
    counts = own.counts()
    assert counts["train"]["in_two_classes"] == 2
    assert counts["train_images_in_test"] == 8


def entry(archive: str, name: str, content: bytes = b"x", **of_tar: Any) -> Callable[[Own], None]:
    def write(own: Own) -> None:
        if archive == "zip":
            with zipfile.ZipFile(own.path / "own.zip", "w", zipfile.ZIP_DEFLATED) as file:
                file.writestr(name, content)
            return
        with tarfile.open(own.path / "own.tar", "w") as file:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in of_tar.items():
                setattr(member, key, value)
            file.addfile(member, io.BytesIO(content))

    return write


ARCHIVES = {
    "zip that leads elsewhere": (entry("zip", "../x.png"), "holds '../x.png', which would be "),
    "absolute zip": (entry("zip", "/x/x.png"), "holds '/x/x.png', which would be written else"),
    "tar that leads elsewhere": (entry("tar", "a/../../x"), "holds 'a/../../x', which would be "),
    "link in a tar": (
        entry("tar", "a/x.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        "holds 'a/x.png', a link or a device: refused",
    ),
    "bomb": (entry("zip", "a/x.png", bytes(50_000_000)), "unpacks to more than 100 times its size"),
    "no archive": (
        lambda own: (own.path / "own.zip").write_bytes(b"PK\3\4 no"),
        "is damaged or no archive: ",
    ),
}


def test_an_archive_that_is_none_or_does_harm_is_refused(
    own: Own, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
):
    monkeypatch.setattr("fashion_mnist.ingest.unpacking.LEAST_ALLOWED", 2**20)
    for kind, (write, said) in ARCHIVES.items():
        write(own)
        archive = next(own.path.glob("own.*"))
        written = {"datasets/mine.yaml": b"by the test"}
        before = own.workspace.files() | written
        with subtests.test(kind):
            message = own.ingest(sources=[archive.name])
            assert message.startswith(f"no source gives a data set (tried {archive.name}: {said}")
            assert own.workspace.files() | written == before
        archive.unlink()


def test_a_file_that_is_another_one_is_not_used(own: Own):
    write_pictures(own.pictures)
    zipped(own.pictures, own.path / "own.zip")
    said = own.ingest(sources=["own.zip"], sha256="0" * 64)
    assert "own.zip: is another file: its SHA-256 is " in said


def arrays(**changes: Any) -> dict[str, np.ndarray]:
    """As MedMNIST has them: labels (N, 1)."""
    images = np.arange(12 * 5 * 5, dtype=np.uint32).astype(np.uint8).reshape(12, 5, 5)
    labels = (np.arange(12) % 3)[:, np.newaxis]
    whole = {
        **{"train_images": images, "train_labels": labels},
        **{"val_images": images[:3], "val_labels": labels[:3]},
        **{"test_images": images[:6], "test_labels": labels[:6]},
    }
    return {name: array for name, array in (whole | changes).items() if array is not None}


def test_arrays_are_read_from_one_file(own: Own):
    for save_arrays in (np.savez, np.savez_compressed):
        save_arrays(own.path / "own.npz", **arrays())
        train, test = own.good(format="npz", sources=["own.npz"])
        assert (train.images.shape, test.images.shape) == ((15, 5, 5), (6, 5, 5)), save_arrays
        assert train.classes == ("0", "1", "2")
        assert train.labels.tolist() == [0, 1, 2] * 5
    colour = np.zeros((6, 5, 5, 3), np.uint8)
    np.savez(own.path / "own.npz", train_images=colour, train_labels=[1, 1, 1, 2, 2, 2])
    split = {"test_fraction": 0.3, "first_label": 1, "classes": ["a", "b"]}
    train, test = own.good(format="npz", sources=["own.npz"], **split)
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 0, 1, 1], [0, 1])


FAULTS_OF_ARRAYS = [
    ({"train_images": None}, "data/raw/own.npz has no array train_images; it has train_labels"),
    ({"test_images": None}, "data/raw/own.npz has no array test_images: add one, or set test_"),
    ({"train_images": np.zeros((15, 5, 5))}, "the training images in data/raw: images must be"),
    ({"train_labels": np.zeros(12)}, "data/raw/own.npz: labels must be whole numbers (N,)"),
    ({"test_labels": np.array([0, 1, 2, 3, 4, 5])}, "the test images in data/raw: labels must"),
    ({"test_labels": -np.ones(6, int)}, "data/raw/own.npz: labels must lie in 0-65535, not -1"),
    ({"test_images": np.zeros((6, 5, 4), np.uint8)}, "data/raw: the training images are (5, 5"),
    ({"train_images": np.array([{}] * 12)}, "data/raw/own.npz is damaged: Object arrays"),
]


def test_a_fault_of_arrays_is_told_in_one_sentence(own: Own, subtests: pytest.Subtests):
    for changes, said in FAULTS_OF_ARRAYS:
        given = {"val_images": None, "val_labels": None} | changes
        np.savez(own.path / "own.npz", **arrays(**given))
        with subtests.test(said):
            assert own.ingest(format="npz", sources=["own.npz"]).startswith(said)


def test_other_sets_of_idx_files_are_read_under_their_names(own: Own):
    images = np.arange(4 * 6 * 6, dtype=np.uint8).reshape(4, 6, 6)
    files = {}
    (own.path / "idx").mkdir()
    for part in ("train", "test"):
        for kind, array in (("images-idx3", images), ("labels-idx1", np.array([1, 2, 1, 2]))):
            name = f"emnist-letters-{part}-{kind}-ubyte"
            idx.write(own.path / "idx" / name, array.astype(np.uint8))
            files[name] = {}
    train, test = own.good(
        format="idx", sources=["idx"], files=files, first_label=1, classes=["A", "B"]
    )
    assert train.kind == test.kind == ((6, 6, 1), ("A", "B"))
    assert train.labels.tolist() == [0, 1, 0, 1]
    zipped(own.path / "idx", own.path / "idx.zip")
    described = {"files": files, "first_label": 1, "classes": ["A", "B"]}
    (own.path / f"data/raw/{name}").unlink()
    own.good(format="idx", sources=["idx.zip"], **described)
    # QMNIST's labels: int32 (N, 8), the class first.
    rows = np.zeros((4, 8), ">i4")
    rows[:, 0] = [2, 1, 2, 1]
    header = struct.pack(">BBBB2I", 0, 0, 12, 2, 4, 8)
    (own.path / "idx/emnist-letters-test-labels-idx1-ubyte").write_bytes(header + rows.tobytes())
    (own.path / "data/raw/emnist-letters-test-labels-idx1-ubyte").unlink()
    _, test = own.good(
        format="idx", sources=["idx"], files=files, first_label=1, classes=["A", "B"]
    )
    assert test.labels.tolist() == [1, 0, 1, 0]


MISTAKES = [
    ({"image": None}, "image: is missing: pictures are brought to this size"),
    ({"format": "zip"}, "format: must be 'idx', 'folder' or 'npz', not 'zip'"),
    ({"source": ["x"]}, "source: no such key; did you mean sources?"),
    ({"sources": []}, "sources: is empty"),
    ({"image": GRAY | {"channels": 2}}, "image.channels: must be 1 or 3, not 2"),
    ({"image": GRAY | {"height": "8"}}, "image.height: must be a whole number, not '8'"),
    ({"image": GRAY | {"hight": 8}}, "image.hight: no such key; did you mean height?"),
    ({"test_fraction": 1.5}, "test_fraction: must be less than 1, not 1.5"),
    ({"background": "red"}, "background: must be 'black', 'white' or 'edge', not 'red'"),
    ({"classes": ["a", "a"]}, "classes: must be two or more names, each there once"),
    ({"sha256": "x"}, "sha256: "),
    ({"files": {}}, "files: only `format: idx` has several files"),
    ({"prepare": "product"}, "prepare: `product` makes gray images of 28 x 28 pixels: it "),
]


def test_a_mistake_in_a_data_sets_file_is_named_by_its_key(own: Own, subtests: pytest.Subtests):
    for described, said in MISTAKES:
        with subtests.test(said):
            message = own.ingest(**described)
            assert message.startswith(f"datasets/mine.yaml: {said}")
            assert message.isprintable()


def test_a_data_set_without_a_file_is_named_with_those_that_have_one(own: Own):
    own.workspace.set_params(dataset="fashion-mist")
    message = own.ingest()
    assert message == (
        "params.yaml: dataset: there is no file datasets/fashion-mist.yaml; "
        "did you mean fashion-mnist?"
    )


def test_fetching_another_set_leaves_nothing_of_the_last_one(own: Own):
    write_pictures(own.pictures)
    own.good()
    own.workspace.set_params(dataset="fashion-mnist")
    own.ingest()
    assert all("ubyte" in path.name for path in (own.path / "data/raw").iterdir())
