"""People and times as values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from twinface.core.subjects import NewSample, TemplateSpace, expiry
from twinface.core.types import Template
from twinface.errors import GalleryError

NOW = datetime(2026, 12, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("30d", NOW + timedelta(days=30)),
        ("12h", NOW + timedelta(hours=12)),
        (" 8w ", NOW + timedelta(weeks=8)),
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
    ],
)
def test_times_to_come(text: str, until: datetime) -> None:
    assert expiry(text, NOW) == until


@pytest.mark.parametrize(
    "text", ["", "d", "0d", "-3d", "3", "3m", "1e3d", "99999999d", "9999999w", "2026-12-31", "2020-01-01", "2027-02-30",
             "9999-01-01", "tomorrow", "\u0663d", "30 d"],
)  # fmt: skip
def test_what_is_no_time_to_come(text: str) -> None:
    with pytest.raises(GalleryError, match="give one as 30d"):
        expiry(text, NOW)


def test_a_digest_is_64_hexadecimal_digits() -> None:
    template = Template(np.array([1.0, 0.0], np.float32), "model")
    for digest in ("", "a" * 63, "A" * 64, "g" * 64):
        with pytest.raises(ValueError, match="64 hexadecimal"):
            NewSample(digest, template)


def test_a_space_has_an_encoder_and_a_dimension() -> None:
    for words in (("", "m", True, 2), ("i", "", True, 2), ("i", "m", True, 0)):
        with pytest.raises(ValueError, match="template space"):
            TemplateSpace(*words)  # type: ignore[arg-type]
