"""The table of data sets that can be fetched."""

import re

import pytest

from twinface.datasets.archives import is_archive
from twinface.datasets.catalogue import catalogue, find
from twinface.datasets.extraction import Limits
from twinface.datasets.lfw import ARCHIVES, FOLDERS, LISTS
from twinface.errors import DatasetMissing

FILES = [file for one in catalogue() for file in (one.archive, *one.lists)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_has_an_https_address_a_digest_and_a_size(file):
    assert file.url.startswith("https://")
    assert re.fullmatch("[0-9a-f]{64}", file.sha256)
    assert 0 < file.size < file.most < Limits().size
    assert re.fullmatch(r"[\w.-]+", file.name)


def test_no_address_or_digest_is_that_of_two_files():
    assert (
        len({file.name for file in FILES}) == len({file.url for file in FILES}) == len({file.sha256 for file in FILES})
    )


@pytest.mark.parametrize("one", catalogue(), ids=lambda one: one.name)
def test_what_is_fetched_lies_where_lfw_is_looked_for(one, tmp_path):
    assert is_archive(tmp_path / one.archive.name)
    assert one.archive.name.removesuffix(".tgz") in ARCHIVES
    assert one.folder in FOLDERS
    assert {file.name: file.sha256 for file in one.lists} == dict(LISTS.values())
    assert one.terms
    assert one.source.startswith("http")


@pytest.mark.parametrize("one", catalogue(), ids=lambda one: one.name)
def test_a_set_is_found_by_its_name(one):
    assert find(one.name, catalogue()) is one


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lfw-deepfunneled", "no copy of deep-funneled LFW is served with a published digest"),
        ("LFW_deepfunneled", "no copy of deep-funneled LFW"),
        ("lfw-deep-funneled", "no copy of deep-funneled LFW"),
        ("utkface", "UTKFace is given for research by its authors, whom you must ask"),
        ("CelebA", "to whose terms you must agree"),
        ("lwf", "no data set named 'lwf'; there are lfw, lfw-funneled"),
    ],
)
def test_what_cannot_be_fetched_is_said_with_advice(name, said):
    with pytest.raises(DatasetMissing, match=re.escape(said)):
        find(name, catalogue())
