"""Models of the user's own, made on the spot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from twinface.models.registry import HOME

SIDE, DIMENSION = 112, 16


@pytest.fixture(scope="session")
def own_encoder() -> Callable[[Path], Path]:
    """Writes an ArcFace-like network: its template is a mixture of the crop's pixels, seen very coarsely."""

    def write(path: Path, side: int = SIDE) -> Path:
        cells = 3 * (side // 16) ** 2
        mixing = np.random.default_rng(5).normal(size=(cells, DIMENSION)).astype(np.float32)
        nodes = [
            helper.make_node("AveragePool", ["crops"], ["coarse"], kernel_shape=[16, 16], strides=[16, 16]),
            helper.make_node("Flatten", ["coarse"], ["cells"]),
            helper.make_node("MatMul", ["cells", "mixing"], ["template"]),
        ]
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("crops", TensorProto.FLOAT, ["N", 3, side, side])],
            [helper.make_tensor_value_info("template", TensorProto.FLOAT, ["N", DIMENSION])],
            [helper.make_tensor("mixing", TensorProto.FLOAT, mixing.shape, mixing.ravel())],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
        return path

    return write


@pytest.fixture
def lookout(tmp_path: Path) -> Path:
    """The contract of a detector of the user's own: the shipped one, sure of less."""
    folder = tmp_path / "detector"
    folder.mkdir()
    for path in HOME.glob("scout*.onnx"):
        shutil.copy(path, folder)
    facts = json.loads((HOME / "scout.json").read_text())
    path = folder / "lookout.json"
    path.write_text(json.dumps({**facts, "name": "lookout", "confidence": 0.5}))
    return path
