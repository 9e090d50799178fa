"""The pictures of each step, in one process and in many."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the train extra")

from twinface.training.augmentation import AugmentationOptions, augment, centre, draw  # noqa: E402
from twinface.training.batches import BatchMaker  # noqa: E402
from twinface.training.loading import AUGMENT, PictureLoader, Requests, shares  # noqa: E402
from twinface.training.recipe import BatchPart, DataRecipe, DeviceRecipe, Recipe  # noqa: E402
from twinface.training.roster import Roster  # noqa: E402

SIZE, MARGIN, PICTURES, SEED = 16, 2, 18, 7
ROWS = 3 * np.arange(PICTURES) + 1
"""Rows of the store that are trained on; the others are not."""

PAIRS = (BatchPart("pairs", count=5),)

OPTIONS = AugmentationOptions(jpeg=0.0)
"""All but JPEG, whose rounding tells apart what float arithmetic does not."""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def pixels(tmp_path_factory):
    """As a crop store has them: mapped and read-only."""
    path = tmp_path_factory.mktemp("store") / "crops.npy"
    side = SIZE + 2 * MARGIN
    np.save(path, np.random.default_rng(0).integers(0, 256, (3 * PICTURES, side, side, 3), dtype=np.uint8))
    return np.load(path, mmap_mode="r")


def requests(parts=PAIRS, rank=0, world=1, options=OPTIONS):
    persons = np.repeat(np.arange(PICTURES // 3), 3)
    roster = Roster(ROWS, persons, np.full(PICTURES, -1), ("folder",) * PICTURES)
    return Requests(BatchMaker(roster, parts, SEED), options, roster.rows, SEED, rank, world)


def loader(pixels, asked, augment="loader"):
    recipe = Recipe("loading", data=DataRecipe(size=SIZE, margin=MARGIN), device=DeviceRecipe(augment=augment))
    return PictureLoader(pixels, asked, recipe)


class TestShares:
    @given(count=st.integers(1, 60), world=st.integers(1, 9))
    def test_they_cover_the_batch_once_and_pad_with_its_last_picture(self, count, world):
        found = shares(count, world)
        assert len(found) == world
        assert {len(share) for share in found} == {-(-count // world)}
        together = np.concatenate(found)
        assert together[:count].tolist() == list(range(count))
        assert set(together[count:].tolist()) <= {count - 1}

    def test_one_process_takes_all(self):
        assert [share.tolist() for share in shares(4, 1)] == [[0, 1, 2, 3]]
        assert [share.tolist() for share in shares(5, 3)] == [[0, 1], [2, 3], [4, 4]]


class TestRequests:
    @pytest.mark.parametrize("world", [2, 3])
    @pytest.mark.parametrize("kind", ["pairs", "random"])
    def test_those_of_all_processes_together_are_those_of_one(self, world, kind):
        parts = (BatchPart(kind, count=7),)
        for step in range(4):
            whole = requests(parts).request(step)
            several = [requests(parts, rank, world).request(step) for rank in range(world)]
            count = len(whole.batch.places)
            assert len({len(one.rows) for one in several}) == 1
            np.testing.assert_array_equal(np.concatenate([one.rows for one in several])[:count], whole.rows)
            for field in fields(whole.chances):
                parted = np.concatenate([getattr(one.chances, field.name) for one in several])[:count]
                np.testing.assert_array_equal(parted, getattr(whole.chances, field.name))
            for one in several:
                assert one.step == step
                np.testing.assert_array_equal(one.batch.places, whole.batch.places)
                np.testing.assert_array_equal(one.batch.pairs, whole.batch.pairs)

    def test_rows_are_the_store_s(self):
        request = requests().request(0)
        assert request.rows.tolist() == ROWS[request.batch.places].tolist()

    def test_every_step_has_its_own_chances_drawn_from_seed_and_step(self):
        first, second = (requests((BatchPart("random", count=8),)).request(step) for step in (0, 1))
        assert first.chances.warp.tolist() != second.chances.warp.tolist()
        wanted = draw(OPTIONS, 8, np.random.default_rng([SEED, AUGMENT, 1]))
        np.testing.assert_array_equal(second.chances.warp, wanted.warp)

    def test_steps_are_asked_for_in_their_order(self):
        asked = requests()
        assert list(asked) == []
        asked.steps = range(3, 6)
        assert [one.step for one in asked] == [one.step for one in asked] == [3, 4, 5]


class TestPictures:
    def test_they_are_the_store_s_augmented(self, pixels):
        for loaded in loader(pixels, requests()).steps(0, 3):
            assert loaded.pictures.dtype == torch.float32
            assert loaded.pictures.shape == (len(loaded.request.rows), 3, SIZE, SIZE)
            stored = torch.from_numpy(np.array(pixels[loaded.request.rows]))
            assert torch.equal(loaded.pictures, augment(stored, loaded.request.chances, SIZE))
            assert (loaded.pictures - centre(stored, SIZE)).abs().mean() > 1

    def test_augmented_on_the_device_they_are_what_the_loader_would_have_made(self, pixels):
        there, here = loader(pixels, requests(), "device"), loader(pixels, requests())
        for stored, augmented in zip(there.steps(0, 3), here.steps(0, 3), strict=True):
            assert (stored.pictures.dtype, stored.pictures.shape[1]) == (torch.uint8, SIZE + 2 * MARGIN)
            np.testing.assert_array_equal(stored.pictures, pixels[stored.request.rows])
            assert torch.equal(augment(stored.pictures, stored.request.chances, SIZE), augmented.pictures)

    @pytest.mark.parametrize("world", [2, 3])
    def test_those_of_all_processes_together_are_those_of_one(self, pixels, world):
        whole = list(loader(pixels, requests()).steps(0, 3))
        several = [list(loader(pixels, requests(rank=rank, world=world)).steps(0, 3)) for rank in range(world)]
        for step, one in enumerate(whole):
            together = torch.cat([process[step].pictures for process in several])[: len(one.pictures)]
            assert (together - one.pictures).abs().max() <= 2e-3

    def test_a_run_of_steps_goes_on_where_another_ended_or_was_left(self, pixels):
        pictures = loader(pixels, requests())
        whole = list(loader(pixels, requests()).steps(0, 6))
        found = list(pictures.steps(0, 2))
        for loaded in pictures.steps(2, 6):
            found.append(loaded)
            break
        found += pictures.steps(3, 6)
        assert [one.request.step for one in found] == list(range(6))
        assert all(torch.equal(one.pictures, other.pictures) for one, other in zip(found, whole, strict=True))

    def test_no_steps_no_pictures(self, pixels):
        assert list(loader(pixels, requests()).steps(4, 4)) == []

    def test_the_store_is_not_written_to(self, pixels):
        before = np.array(pixels)
        (loaded,) = loader(pixels, requests(), "device").steps(0, 1)
        loaded.pictures.zero_()
        np.testing.assert_array_equal(pixels, before)

    def test_another_seed_of_augmentation_would_show(self, pixels):
        (loaded,) = loader(pixels, requests()).steps(0, 1)
        other = replace(loaded.request.chances, seeds=loaded.request.chances.seeds + 1)
        stored = torch.from_numpy(np.array(pixels[loaded.request.rows]))
        assert not torch.equal(augment(stored, other, SIZE), loaded.pictures)
