"""The pages say what the command line says: the words of `words.js` and the curve of `gauge.js` against Python's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest

from twinface.core.calibration import LogisticCurve
from twinface.core.decision import Verdict
from twinface.core.rates import scientific
from twinface.core.wording import caution, fmr_label, percent
from twinface.models.registry import find

Open = Callable[..., Any]

PROBABILITIES = [0.0, 5e-5, 1e-4, 0.00045, 0.0099, 0.01, 0.25, 0.5, 0.512, 0.99, 0.9901, 0.99955, 0.9999, 0.99999, 1.0]
RATES = [0.1, 0.01, 0.003, 0.0025, 0.001, 0.00025, 1e-4, 1e-5]


@pytest.fixture
def told(opened: Open, server: Any) -> Callable[[str, Any], Any]:
    page = opened(server, "/login")

    def run(expression: str, values: Any) -> Any:
        script = (
            f"async values => {{ const words = await import('/static/words.js'); return values.map({expression}); }}"
        )
        return page.evaluate(script, values)

    return run


def test_probabilities_read_the_same(told: Callable[[str, Any], Any]) -> None:
    assert told("words.percent", PROBABILITIES) == [percent(one) for one in PROBABILITIES]


def test_rates_read_the_same(told: Callable[[str, Any], Any]) -> None:
    assert told("words.scientific", RATES) == [scientific(one) for one in RATES]
    labels = told("one => `${words.oneIn(one)} (FMR ${words.scientific(one)})`", RATES)
    assert labels == [fmr_label(one) for one in RATES]


def test_cautions_read_the_same(told: Callable[[str, Any], Any]) -> None:
    cases = [[verdict, probability, 1e-3] for verdict in get_args(Verdict) for probability in (0.1, 0.5, 0.9)]

    assert told("one => words.caution(...one)", cases) == [caution(*one) for one in cases]


def test_the_gauge_uses_the_models_own_curve(opened: Open, server: Any) -> None:
    rule = find("twin-r29").rules()[0]
    curve = rule.curve
    assert isinstance(curve, LogisticCurve)
    page = opened(server, "/login")
    distances = [0.0, 0.1, 0.30, 0.3266, 0.36, 0.4, 1.0, 2.0]

    found = page.evaluate(
        """async ([curve, distances]) => {
            const { probabilityAt } = await import("/static/gauge.js");
            return distances.map(one => probabilityAt(curve, one));
        }""",
        [{"slope": curve.slope, "intercept": curve.intercept, "floor": curve.floor}, distances],
    )

    assert found == pytest.approx([curve.probability(one) for one in distances])


def test_the_face_is_aligned_as_the_encoder_aligns_it(opened: Open, server: Any) -> None:
    import numpy as np

    from twinface.core.geometry import similarity_transform

    source = [[204.58, 101.33], [246.76, 104.76], [223.54, 127.53], [203.74, 142.2], [241.18, 145.17]]
    target = [list(map(float, one)) for one in find("twin-r29").contract.points]
    page = opened(server, "/login")

    a, b, x, y = page.evaluate(
        "async both => (await import('/static/picture.js')).similarity(...both)", [source, target]
    )

    assert np.allclose([[a, -b, x], [b, a, y]], similarity_transform(np.array(source), np.array(target)), atol=1e-3)
