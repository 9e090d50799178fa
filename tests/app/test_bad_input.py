"""Bad input: one clear line on stderr, status 2, nothing on stdout. Odd but sound pictures: the usual answer."""

from __future__ import annotations

import io
import json
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image, ImageFilter

from twinface.errors import UnreadableImage, UnsupportedFormat
from twinface.models.registry import HOME

ORIENTATION = 0x0112
STORED_AS = {  # how a camera stores the upright picture that carries each orientation
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def shot(examples: Path, name: str = "collins.jpg") -> Image.Image:
    with Image.open(examples / name) as image:
        return image.convert("RGB")


def stored(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises so many pixels and holds next to none."""
    blank = bytearray(stored(Image.new("L", (16, 16))))
    chunk = b"IHDR" + width.to_bytes(4) + height.to_bytes(4) + bytes(blank[24:29])
    blank[12:33] = chunk + zlib.crc32(chunk).to_bytes(4)
    return bytes(blank)


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def ftyp(brand: bytes) -> bytes:
    return b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1" + brand + bytes(200)


def blurred(examples: Path) -> bytes:
    return stored(shot(examples, "collins_reshoot.jpg").filter(ImageFilter.GaussianBlur(5)))


def distant(examples: Path) -> bytes:
    portrait = shot(examples, "hopper.jpg")
    return stored(portrait.resize((portrait.width // 9, portrait.height // 9)))


Content = Callable[[Path], bytes]
PICTURES: dict[str, tuple[str, Content, str]] = {  # what it is: file name, content, what the line must say
    "empty": ("a.jpg", lambda folder: b"", "empty, there are no bytes to read"),
    "text renamed .jpg": ("a.jpg", lambda folder: b"Dear Sir,\nplease find attached", "not a picture TwinFace reads"),
    "truncated JPEG": (
        "a.jpg",
        lambda folder: truncated((folder / "hopper.jpg").read_bytes()),
        "damaged or incomplete",
    ),
    "truncated PNG": ("a.png", lambda folder: truncated(stored(shot(folder))), "damaged or incomplete PNG picture"),
    "1x1": ("a.png", lambda folder: stored(Image.new("RGB", (1, 1))), "1 x 1 pixels cannot hold a face"),
    "20000x20000 header": ("a.png", lambda folder: png_header(20000, 20000), "far more pixels than the limit"),
    "HEIC": ("a.heic", lambda folder: ftyp(b"heic"), 'pip install "twinface[heif]"'),
    "no face": ("a.png", lambda folder: stored(Image.linear_gradient("L")), "no face found"),
    "blurred face": ("a.png", blurred, "face 1 is not fit for comparison (blurred)"),
    "tiny face": ("a.png", distant, "face 1 is not fit for comparison (too small"),
    "name of two lines": ("a\nb.jpg", lambda folder: b"", r"a\nb.jpg"),
    "name with an escape": ("a\33[31m.jpg", lambda folder: b"", r"a\x1b[31m.jpg"),
}


@pytest.fixture
def bad(request: pytest.FixtureRequest, tmp_path: Path, examples: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as where the extra is not installed
    name, content, _ = PICTURES[request.param]
    path = tmp_path / name
    path.write_bytes(content(examples))
    return path


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# pictures that allow no answer


@pytest.mark.parametrize("bad", PICTURES, indirect=True)
@pytest.mark.parametrize("place", ["first", "second"])
def test_compare_refuses_a_bad_picture_in_one_line_and_writes_nothing(cli, bad, place, request, examples):
    pair = [bad, examples / "hopper.jpg"] if place == "first" else [examples / "hopper.jpg", bad]
    before = left(bad.parent)
    outcome = cli("compare", *pair, "--json", "--save", bad.parent / "out.png")
    said = PICTURES[request.node.callspec.params["bad"]][2]
    outcome.refuses(said, bad.name if bad.name.isprintable() else "")
    assert left(bad.parent) == before


UNREADABLE = [what for what in PICTURES if "face" not in what]


@pytest.mark.parametrize("bad", UNREADABLE, indirect=True)
def test_detect_refuses_an_unreadable_picture_in_one_line(cli, bad, request):
    cli("detect", bad, "--save", bad.parent / "out.png").refuses(PICTURES[request.node.callspec.params["bad"]][2])
    assert not (bad.parent / "out.png").exists()


@pytest.mark.parametrize("bad", [*UNREADABLE, "no face"], indirect=True)
def test_embed_refuses_a_picture_without_template_in_one_line(cli, bad, request):
    cli("embed", bad, "--out", bad.parent / "out.npz").refuses(PICTURES[request.node.callspec.params["bad"]][2])
    assert not (bad.parent / "out.npz").exists()


@pytest.mark.parametrize(("command", "options"), [("compare", []), ("detect", []), ("embed", ["--out", "out.npz"])])
def test_a_missing_file_is_refused(cli, examples, tmp_path, monkeypatch, command, options):
    monkeypatch.chdir(tmp_path)
    others = [examples / "hopper.jpg"] if command == "compare" else []
    cli(command, "gone.jpg", *others, *options).refuses("gone.jpg: no such file; check the path")
    assert left(tmp_path) == []


@pytest.mark.parametrize("command", ["compare", "detect"])
def test_a_directory_is_refused(cli, examples, command):
    others = [examples / "hopper.jpg"] if command == "compare" else []
    cli(command, examples, *others).refuses("is a directory; name a picture in it")


def test_a_folder_without_pictures_is_refused_by_embed(cli, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    cli("embed", folder, "--out", tmp_path / "out.npz").refuses("empty: the folder holds no pictures")


def test_standard_input_is_refused(cli, examples):
    cli("compare", "-", examples / "hopper.jpg").refuses("compare reads files, not standard input")


def test_a_blurred_face_is_compared_on_demand(cli, tmp_path, examples):
    path = tmp_path / "blurred.png"
    path.write_bytes(blurred(examples))
    outcome = cli("compare", path, examples / "collins.jpg", "--any-quality", "--json")
    assert outcome.status in (0, 1)
    assert json.loads(outcome.out)["a"]["quality"]["reasons"] == ["blurred"]


# faces


def test_several_faces_are_refused_where_only_one_is_wanted(cli, examples):
    cli("compare", examples / "collins.jpg", examples / "two_faces.jpg", "--face", "only").refuses(
        "two_faces.jpg: 2 faces found where one was wanted"
    )


def test_a_face_that_is_not_there_is_refused(cli, examples):
    picture = examples / "two_faces.jpg"
    cli("compare", picture, picture, "--face", "3").refuses("no face number 3; 2 found, 1 is the largest")
    cli("embed", picture, "--out", "unwritten.npz", "--face", "3").refuses("no face number 3")


@pytest.mark.parametrize("face", ["0", "-1", "first", "1.5", "", "²"])
def test_an_unknown_choice_of_faces_is_refused(cli, examples, face):
    cli("compare", examples / "collins.jpg", examples / "hopper.jpg", "--face", face).refuses(
        "--face must be largest, all, only or a number from 1 up, got "
    )


# models, detectors, providers, operating points


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the shipped encoder; the path of its contract."""
    folder = tmp_path / "model"
    folder.mkdir()
    for path in HOME.glob("twin-r29.*"):
        shutil.copy(path, folder)
    return folder / "twin-r29.json"


@pytest.fixture
def pair(examples: Path) -> tuple[Path, Path]:
    return examples / "collins.jpg", examples / "hopper.jpg"


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_an_untouched_copy_of_the_model_answers(cli, model, pair):
    assert cli("compare", *pair, "--model", model).status == 1


def test_a_tampered_model_is_refused(cli, model, pair):
    flip_a_bit(model.with_suffix(".onnx"))
    said = ("twin-r29.onnx: SHA-256 is ", "the contract says ", "was changed or damaged")
    cli("compare", *pair, "--model", model).refuses(*said)
    cli("models", "verify", model).refuses(*said)


def test_a_tampered_detector_is_refused(cli, tmp_path, pair):
    for path in HOME.glob("scout*"):
        shutil.copy(path, tmp_path)
    flip_a_bit(tmp_path / "scout.onnx")
    cli("compare", *pair, "--detector", tmp_path / "scout.json").refuses("scout.onnx: SHA-256 is ")
    cli("detect", pair[0], "--detector", tmp_path / "scout.json").refuses("scout.onnx: SHA-256 is ")


def test_a_model_of_another_preprocessing_than_its_rules_is_refused(cli, model, pair):
    facts = json.loads(model.read_text())
    model.write_text(json.dumps({**facts, "scale": facts["scale"] * 2}))
    cli("compare", *pair, "--model", model).refuses("no decision rule for mirror=on with these weights")


def test_a_model_that_was_never_calibrated_is_refused(cli, model, pair):
    model.with_suffix(".decision.json").unlink()
    cli("compare", *pair, "--model", model).refuses("no decision rules for twin-r29; measure them")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a model contract"),
        (b"[]", "not a model contract"),
        (b"{}", "not a model contract"),
        (b'{"kind": "oracle"}', "kind must be encoder or detector, got 'oracle'"),
        (b"\xff\xfe", "cannot read the contract"),
    ],
)
def test_a_malformed_contract_is_refused(cli, model, pair, content, said):
    model.write_bytes(content)
    cli("compare", *pair, "--model", model).refuses("twin-r29.json: ", said)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"rules": [{}]}', b"\xff\xfe"])
def test_malformed_decision_rules_are_refused(cli, model, pair, content):
    model.with_suffix(".decision.json").write_bytes(content)
    cli("compare", *pair, "--model", model).refuses("twin-r29.decision.json: ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "resnet30"], "no model named 'resnet30'; shipped: resnet29, scout, twin-nano, twin-r29"),
        (["--model", "gone.json"], "gone.json: no such model contract"),
        (["--model", "scout"], "scout is a detector, not an encoder"),
        (["--detector", "twin-r29"], "twin-r29 is an encoder, not a detector"),
        (["--detector", "retina"], "no model named 'retina'"),
        (["--detector", "retina:face.onnx"], "no such detector; a detector of your own is written yunet:FILE"),
        (["--detector", "yunet:gone.onnx"], "gone.onnx: no such file; give the yunet ONNX file"),
        (["--detector", f"yunet:{HOME}"], "not a file; give the yunet ONNX file"),
        (["--detector", f"yunet:{HOME / 'scout.json'}"], "scout.json"),
        (["--detector", f"scrfd:{HOME / 'twin-r29.onnx'}"], "twin-r29.onnx"),
        (["--fmr", "2e-3"], "no operating point for FMR 0.002; measured ones: 1e-2, 1e-3, 1e-4"),
        (["--fmr", "nan"], "no operating point for FMR nan; measured ones: 1e-2, 1e-3, 1e-4"),
        (["--fmr", "often"], "see twinface compare --help"),
        (["--threads", "-1"], "see twinface compare --help"),
        (["--threads", "100000"], "threads must be a number from 0 to 1024, got 100000"),
        (["--provider", "WishExecutionProvider"], "WishExecutionProvider is not available; this installation offers"),
        (["--unheard-of"], "see twinface compare --help"),
        (["third.jpg"], "see twinface compare --help"),
    ],
    ids=lambda value: " ".join(map(str, value)).replace(str(HOME), "") if isinstance(value, list) else "",
)
def test_wrong_options_are_refused(cli, pair, options, said):
    cli("compare", *pair, *options).refuses(said)


def test_a_detector_of_another_layout_is_refused(cli, pair):
    cli("compare", *pair, "--detector", f"yunet:{HOME / 'scout.onnx'}").refuses("yunet:scout.onnx: ")


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this ONNX Runtime was built with CUDA"
)
def test_a_gpu_is_refused_where_there_is_none_and_not_replaced_silently(cli, pair):
    cli("compare", *pair, "--provider", "CUDAExecutionProvider").refuses(
        "CUDAExecutionProvider is not available", "install onnxruntime-gpu"
    )


@pytest.mark.parametrize("words", [["compare"], ["compare", "a.jpg"], ["models"], ["dance"], ["--unheard-of"]])
def test_wrong_commands_are_refused_with_the_way_to_help(cli, words):
    cli(*words).refuses("; see twinface", " --help")


# outputs that cannot be written


ENDINGS = "pictures are written as .png, .jpg or .webp"


@pytest.mark.parametrize(
    ("command", "target", "said"),
    [
        ("compare", "gone/out.png", "there is no folder"),
        ("compare", "folder", ENDINGS),
        ("compare", "folder.png", "cannot be written"),
        ("compare", "out.tiff", ENDINGS),
        ("compare", "out", ENDINGS),
        ("detect", "gone/out.png", "there is no folder"),
        ("detect", "out.tiff", ENDINGS),
    ],
)
def test_a_picture_that_cannot_be_saved_leaves_nothing(cli, tmp_path, pair, command, target, said):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.png").mkdir()
    before = left(tmp_path)
    pictures = pair if command == "compare" else pair[:1]
    cli(command, *pictures, "--save", tmp_path / target).refuses(target.partition("/")[0], said)
    assert left(tmp_path) == before
    assert left(tmp_path / "folder.png") == []


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("gone/out.npz", "does not exist; make it first"),
        ("folder.npz", "cannot be written; choose another place"),
        ("out.npy", "templates are written as .npz"),
        ("out", "templates are written as .npz"),
    ],
)
def test_templates_that_cannot_be_written_leave_nothing(cli, tmp_path, pair, target, said):
    (tmp_path / "folder.npz").mkdir()
    cli("embed", *pair, "--out", tmp_path / target).refuses(target.partition("/")[0], said)
    assert left(tmp_path) == ["folder.npz"]


def test_several_pictures_need_a_folder_to_be_saved_in(cli, tmp_path, pair):
    cli("detect", *pair, "--save", tmp_path / "out.png").refuses("several pictures need an existing folder")
    cli("detect", pair[0], pair[0], "--save", tmp_path).refuses("two pictures would both be saved as collins.faces.png")
    assert left(tmp_path) == []


# odd but sound pictures


def animation(examples: Path, kind: str) -> bytes:
    portrait = shot(examples)
    blank = [Image.new("RGB", portrait.size, colour) for colour in ("red", "blue")]
    return stored(portrait, kind, save_all=True, append_images=blank, duration=100)


def deep(examples: Path) -> bytes:
    grey = np.asarray(shot(examples).convert("L"))
    return stored(Image.fromarray(grey.astype(np.uint16) * 257))


def with_alpha(examples: Path, mode: str = "RGBA") -> bytes:
    portrait = shot(examples).convert(mode)
    alpha = Image.new("L", portrait.size, 0)
    alpha.paste(255, (80, 0, 420, 512))
    portrait.putalpha(alpha)
    return stored(portrait)


SOUND: dict[str, tuple[Content, str]] = {  # what it is: content, what the notes must say
    "animated GIF": (lambda folder: animation(folder, "GIF"), "first frame of 3"),
    "APNG": (lambda folder: animation(folder, "PNG"), "first frame of 3"),
    "animated WebP": (lambda folder: animation(folder, "WEBP"), "first frame of 3"),
    "CMYK": (lambda folder: stored(shot(folder).convert("CMYK"), "JPEG", quality=95), "CMYK converted to RGB"),
    "16-bit": (deep, "16-bit reduced to 8"),
    "palette": (lambda folder: stored(shot(folder).quantize(256)), ""),
    "alpha": (with_alpha, "transparent parts shown on white"),
    "grey and alpha": (lambda folder: with_alpha(folder, "L"), "transparent parts shown on white"),
    "greyscale": (lambda folder: stored(shot(folder).convert("L"), "JPEG", quality=95), ""),
}


@pytest.mark.parametrize("what", SOUND)
def test_odd_but_sound_pictures_give_the_usual_answer_and_say_what_was_done(cli, tmp_path, examples, what):
    content, note = SOUND[what]
    path = tmp_path / "odd"
    path.write_bytes(content(examples))
    outcome = cli("compare", path, examples / "collins.jpg", "--json")
    assert (outcome.status, outcome.err) == (0, "")
    answer = json.loads(outcome.out)
    assert answer["distance"] < 0.5 * answer["threshold"]
    assert any(note in one for one in answer["a"]["notes"]) if note else answer["a"]["notes"] == []
    assert answer["b"]["notes"] == []


def test_notes_are_shown_to_people_too(cli, tmp_path, examples):
    path = tmp_path / "moving.gif"
    path.write_bytes(animation(examples, "GIF"))
    assert "first frame of 3" in cli("compare", path, examples / "collins.jpg").out


@pytest.mark.parametrize("orientation", STORED_AS)
def test_every_exif_orientation_gives_the_same_answer(recognizer, examples, orientation):
    upright = recognizer.compare(examples / "collins.jpg", examples / "hopper.jpg")
    turn = STORED_AS[orientation]
    portrait = shot(examples)
    turned = portrait if turn is None else portrait.transpose(turn)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    found = recognizer.compare(stored(turned, exif=exif), examples / "hopper.jpg")
    assert found.verdict == upright.verdict == "different"
    assert found.distance == pytest.approx(upright.distance, abs=1e-6)


def sources(path: Path) -> Iterator[Any]:
    yield str(path)
    yield path.read_bytes()
    yield bytearray(path.read_bytes())
    yield io.BytesIO(path.read_bytes())
    with Image.open(path) as image:
        yield image
        yield np.asarray(image)


def test_every_kind_of_source_gives_the_distance_of_the_path(recognizer, examples):
    other = examples / "collins_reshoot.jpg"
    distance = recognizer.compare(examples / "collins.jpg", other).distance
    for source in sources(examples / "collins.jpg"):
        assert recognizer.compare(source, other).distance == pytest.approx(distance, abs=1e-6)
    with (examples / "collins.jpg").open("rb") as file:
        assert recognizer.compare(file, other).distance == pytest.approx(distance, abs=1e-6)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.full((64, 64, 3), np.nan, np.float32), r"float32 of shape \(64, 64, 3\), holding NaN"),
        (np.full((64, 64, 3), np.inf), "holding NaN or infinite"),
        (np.zeros((64, 64, 3), np.float32), r"use \(array \* 255\)"),
        (np.zeros((3, 64, 64), np.uint8), r"use array.transpose\(1, 2, 0\)"),
        (np.zeros((64, 64, 2), np.uint8), r"got uint8 of shape \(64, 64, 2\)"),
        (np.zeros((2, 64, 64, 3), np.uint8), r"got uint8 of shape \(2, 64, 64, 3\)"),
        (np.zeros(64, np.uint8), r"got uint8 of shape \(64,\)"),
        (np.zeros((0, 0, 3), np.uint8), "0 x 0 pixels cannot hold a face"),
        (np.zeros((64, 64, 3), np.int64), "got int64"),
        (None, "NoneType is not a picture"),
        (7, "int is not a picture"),
    ],
)
@pytest.mark.parametrize("ask", ["analyze", "locate"])
def test_arrays_that_are_no_pictures_are_refused(recognizer, array, said, ask):
    with pytest.raises(UnsupportedFormat, match=said) as error:
        getattr(recognizer, ask)(array)
    assert "\n" not in str(error.value)


def test_a_file_object_that_was_read_already_is_refused(recognizer, examples):
    file = io.BytesIO((examples / "hopper.jpg").read_bytes())
    with pytest.raises(UnreadableImage, match="seek a file object to its start"):
        recognizer.compare(file, file)
