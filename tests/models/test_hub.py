"""Models go to the Hub and come back the same, and what should not go does not."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from hub_models import (
    REPO,
    WEIGHTS,
    nothing_left,
    published,
    rules_for,
    safetensors,
    tiny,
)
from hub_server import said

from twinface.core.contract import EncoderContract
from twinface.errors import ContractMismatch, ModelError, ModelNotFound, ModelTampered
from twinface.models.hub import pull, push
from twinface.models.hub_files import check_safetensors, with_head
from twinface.models.registry import HOME, ModelEntry, find

pytest.importorskip("huggingface_hub")


# there and back


def test_what_is_pushed_is_pulled_byte_by_byte(hub: Any, entry: ModelEntry, home: Path) -> None:
    (weights := entry.folder / "any.safetensors").write_bytes(safetensors())
    commit = push(REPO, entry, weights=weights, endpoint=hub.url)
    pulled = pull(REPO, home, endpoint=hub.url)
    assert (pulled.commit, pulled.calibrated) == (commit, True)
    for path in entry.folder.iterdir():
        name = "tiny.safetensors" if path == weights else path.name
        assert (home / name).read_bytes() == path.read_bytes()
    assert {path.name for path in home.iterdir()} == {*hub.files(REPO), "source.json"}
    again = find(str(pulled.contract_path))
    assert again == pulled.entry
    again.verify()
    assert (again.rule(True), again.training(), again.card()) == (entry.rule(True), entry.training(), entry.card())


def test_a_detector_of_two_networks_goes_both_ways(hub: Any, home: Path) -> None:
    scout = find("scout")
    push("org/scout", scout, endpoint=hub.url)
    pulled = pull("org/scout", home, endpoint=hub.url)
    assert pulled.calibrated
    pulled.entry.verify()
    for path in HOME.glob("scout*"):
        assert (home / path.name).read_bytes() == path.read_bytes()


def test_an_encoder_without_decision_rules_is_not_calibrated(hub: Any, entry: ModelEntry, home: Path) -> None:
    entry.rules_path.unlink()
    push(REPO, entry, endpoint=hub.url)
    assert not pull(REPO, home, endpoint=hub.url).calibrated


def test_rules_of_other_weights_do_not_calibrate(hub: Any, home: Path) -> None:
    other = rules_for(tiny(weights=b"other")).encode()
    hub.commit(REPO, published(tiny_decision_json=other))
    assert not pull(REPO, home, endpoint=hub.url).calibrated


def test_the_pull_notes_where_the_files_came_from(hub: Any, home: Path) -> None:
    files = published()
    commit = hub.commit(REPO, files)
    pull(REPO, home, endpoint=f"{hub.url}/")
    source = json.loads((home / "source.json").read_text())
    digests = {name: {"sha256": hashlib.sha256(one).hexdigest(), "size": len(one)} for name, one in files.items()}
    assert source == {"repo": REPO, "endpoint": hub.url, "revision": "main", "commit": commit, "files": digests}


def test_an_older_revision_can_be_pulled(hub: Any, home: Path) -> None:
    first = hub.commit(REPO, published())
    hub.commit(REPO, published(README_md=b"# newer\n"))
    assert pull(REPO, home, revision=first, endpoint=hub.url).commit == first
    assert (home / "README.md").read_bytes() == b"# tiny\n"


def test_progress_tells_bytes_of_all_files(hub: Any, home: Path) -> None:
    hub.commit(REPO, files := published())
    told: list[tuple[int, int]] = []
    pull(REPO, home, endpoint=hub.url, progress=lambda here, total: told.append((here, total)))
    total = sum(map(len, files.values()))
    assert told[-1] == (total, total)
    assert told == sorted(told)


# pushing


def test_the_readme_has_the_head_that_the_hub_reads(hub: Any, entry: ModelEntry) -> None:
    push(REPO, entry, endpoint=hub.url, message="the first")
    head = "---\nlicense: mit\nlibrary_name: twinface\ntags:\n- twinface\n- onnx\n- face-verification\n---\n\n"
    assert hub.files(REPO)["README.md"].decode() == head + entry.card()
    assert hub.commits[REPO][-1][1] == "the first"


def test_a_licence_the_hub_does_not_know_is_called_other() -> None:
    head = with_head("# x", tiny(licence='Ours: "ask"'))
    assert 'license: other\nlicense_name: "Ours: \\"ask\\""\n' in head


def test_a_card_with_a_head_of_its_own_keeps_it() -> None:
    assert with_head("---\nlicense: mit\n---\n# x", tiny()) == "---\nlicense: mit\n---\n# x"


def test_pushing_the_same_again_makes_no_commit(hub: Any, entry: ModelEntry) -> None:
    assert push(REPO, entry, endpoint=hub.url) == push(REPO, entry, endpoint=hub.url)
    assert len(hub.commits[REPO]) == 1


def test_a_private_repository_is_made_only_where_it_is_asked_for(hub: Any, entry: ModelEntry) -> None:
    push("org/open", entry, endpoint=hub.url)
    push("org/closed", entry, private=True, endpoint=hub.url)
    push("org/closed", entry, private=True, endpoint=hub.url)
    assert hub.private == {"org/closed"}


def test_nothing_private_goes_to_a_public_repository(hub: Any, entry: ModelEntry) -> None:
    before = hub.commit(REPO, {})
    with pytest.raises(ModelNotFound, match="is public already"):
        push(REPO, entry, private=True, endpoint=hub.url)
    assert hub.commits[REPO][-1][0] == before
    assert not hub.stored


def spoil(entry: ModelEntry, name: str, content: bytes | None) -> None:
    if content is None:
        (entry.folder / name).unlink()
    else:
        (entry.folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "kind", "words"),
    [
        ("tiny.onnx", b"other", ModelTampered, "the contract says"),
        ("tiny.onnx", None, ModelNotFound, "cannot read the model"),
        ("tiny.md", None, ModelNotFound, "no model card"),
        ("tiny.md", b"x" * 2**20, ContractMismatch, "more than 1,048,575"),
        ("tiny.decision.json", b"{}", ContractMismatch, "tiny.decision.json"),
        ("tiny.training.json", b"{}", ContractMismatch, "not a training record"),
    ],
)
def test_a_model_that_is_not_whole_is_not_pushed(
    hub: Any, entry: ModelEntry, name: str, content: bytes | None, kind: type[ModelError], words: str
) -> None:
    spoil(entry, name, content)
    with pytest.raises(kind, match=words):
        push(REPO, entry, endpoint=hub.url)
    assert not hub.asked


@pytest.mark.parametrize(
    ("contract", "words"),
    [
        (tiny("two words"), "no plain name"),
        (tiny("SHA256sums"), "one name"),
        (tiny("source"), "one name"),
        (tiny("readme"), "one name"),
        (tiny(file="tiny.bin"), "none of the endings"),
        (tiny(file="tiny.safetensors"), "must be an .onnx file"),
    ],
    ids=lambda one: one.name + one.file if isinstance(one, EncoderContract) else None,
)
def test_names_that_do_not_suit_are_not_pushed(hub: Any, tmp_path: Path, contract: EncoderContract, words: str) -> None:
    (tmp_path / contract.file).write_bytes(WEIGHTS)
    (tmp_path / f"{contract.name}.md").write_text("# x")
    with pytest.raises(ContractMismatch, match=words):
        push(REPO, ModelEntry(contract, tmp_path), endpoint=hub.url)
    assert not hub.asked


@pytest.mark.parametrize(
    "content",
    [pickle.dumps({"a": 1}), b"", b"PK\3\4" + b"\0" * 60, safetensors(end=4), (2).to_bytes(8, "little") + b"[]"],
    ids=["pickle", "empty", "zip", "too much", "no object"],
)
def test_weights_for_training_are_safetensors_and_nothing_else(
    hub: Any, entry: ModelEntry, home: Path, content: bytes
) -> None:
    (weights := entry.folder / "w.safetensors").write_bytes(content)
    with pytest.raises(ContractMismatch, match=r"w\.safetensors: no safetensors file"):
        push(REPO, entry, weights=weights, endpoint=hub.url)
    assert not hub.asked
    hub.commit(REPO, published(tiny_safetensors=content))
    with pytest.raises(ContractMismatch, match=r"tiny\.safetensors: no safetensors file"):
        pull(REPO, home, endpoint=hub.url)
    assert nothing_left(home)


def test_a_head_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    (path := tmp_path / "x.safetensors").write_bytes((25_000_001).to_bytes(8, "little") + b"{}")
    with pytest.raises(ContractMismatch, match="its head is too long"):
        check_safetensors(path, "x")


def test_what_the_safetensors_library_writes_is_let_pass(tmp_path: Path) -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    import numpy as np

    numpy.save_file({"a": np.ones((2, 3)), "b": np.zeros(0)}, tmp_path / "x.safetensors", {"format": "pt"})
    check_safetensors(tmp_path / "x.safetensors", "x")


@pytest.mark.parametrize(("name", "why"), [("gone.safetensors", "No such file"), ("own", "no regular file")])
def test_weights_that_are_no_file_are_refused(hub: Any, entry: ModelEntry, tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(ModelNotFound, match=rf"{name}: cannot be read \({why}"):
        push(REPO, entry, weights=tmp_path / name, endpoint=hub.url)


def test_who_is_not_logged_in_is_told_how(hub: Any, entry: ModelEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ModelNotFound, match="nobody is logged in; log in with hf auth login, or set HF_TOKEN"):
        push(REPO, entry, endpoint=hub.url)
    assert not hub.asked


def test_a_token_that_may_not_push_is_told_so(hub: Any, entry: ModelEntry) -> None:
    with pytest.raises(ModelNotFound, match="strangers/tiny: access is refused"):
        push("strangers/tiny", entry, endpoint=hub.url)


def test_a_head_that_the_hub_refuses_is_named(hub: Any, entry: ModelEntry) -> None:
    (entry.folder / "tiny.md").write_text("---\nlicense: unheard-of\n---\n# tiny\n")
    with pytest.raises(ModelNotFound, match=r'refuses the card .*"license" must be one of'):
        push(REPO, entry, endpoint=hub.url)
    assert not hub.commits[REPO]


def test_a_head_that_the_hub_warns_of_is_no_trouble(hub: Any, entry: ModelEntry) -> None:
    hub.instead["POST /api/validate-yaml"] = said(200, errors=[], warnings=[{"message": "odd"}])
    push(REPO, entry, endpoint=hub.url)
    assert hub.commits[REPO]


def test_an_upload_that_is_refused_says_why(hub: Any, entry: ModelEntry) -> None:
    hub.instead["PUT /storage/"] = 403, {}, b""
    with pytest.raises(ModelNotFound, match="access is refused"):
        push(REPO, entry, endpoint=hub.url)
    assert not hub.commits[REPO]


def test_a_refusal_of_the_commit_is_quoted_in_one_line(hub: Any, entry: ModelEntry) -> None:
    hub.instead["/commit/main"] = said(422, error="too\nmany\x1b[31m files")
    with pytest.raises(ModelNotFound, match="the Hub refuses") as error:
        push(REPO, entry, endpoint=hub.url)
    assert "HTTP 422" in str(error.value)
    assert str(error.value).isprintable()


def test_a_renamed_contract_is_pushed_under_the_models_name(hub: Any, entry: ModelEntry) -> None:
    shutil.move(entry.folder / "tiny.json", entry.folder / "mine.json")
    push(REPO, find(str(entry.folder / "mine.json")), endpoint=hub.url)
    assert "tiny.json" in hub.files(REPO)
    assert "mine.json" not in hub.files(REPO)
