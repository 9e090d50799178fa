"""The one loader of ONNX networks: digests, providers, and a complete translation of ONNX Runtime's errors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnxruntime.capi import onnxruntime_pybind11_state as vendor

from twinface.errors import ContractMismatch, ModelNotFound, ModelTampered, ProviderUnavailable
from twinface.vision import session
from twinface.vision.session import VENDOR_ERRORS, Session, SessionOptions, check_providers

FLOAT = TensorProto.FLOAT
KINDS = ["Fail", "InvalidArgument", "NoSuchFile", "NoModel", "EngineError", "RuntimeException", "InvalidProtobuf",
         "ModelLoaded", "NotImplemented", "InvalidGraph", "EPFail"]  # fmt: skip


def value(name: str, shape: Sequence[int | str], kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def network(
    folder: Path,
    node: onnx.NodeProto,
    inputs: Sequence[onnx.ValueInfoProto],
    output: onnx.ValueInfoProto,
) -> Path:
    graph = helper.make_graph([node], "tiny", inputs, [output])
    path = folder / "tiny.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def double(tmp_path: Path) -> Path:
    """A network that adds its input to itself."""
    node = helper.make_node("Add", ["x", "x"], ["sum"])
    return network(tmp_path, node, [value("x", ["N", 2])], value("sum", ["N", 2]))


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    message = str(error.value)
    assert message
    assert "\n" not in message
    return message


def test_a_network_tells_its_shapes_and_runs(double: Path) -> None:
    network = Session(double)
    assert (network.input_name, network.input_shape) == ("x", ("N", 2))
    assert (network.output_names, network.output_shapes) == (("sum",), (("N", 2),))
    outputs = network.run(np.array([[1, 2], [3, 4]], np.float32))
    assert {name: array.tolist() for name, array in outputs.items()} == {"sum": [[2, 4], [6, 8]]}


def test_the_right_digest_is_accepted(double: Path) -> None:
    Session(double, hashlib.sha256(double.read_bytes()).hexdigest())


def test_a_changed_file_is_refused_with_both_digests(double: Path) -> None:
    digest = hashlib.sha256(double.read_bytes()).hexdigest()
    changed = bytearray(double.read_bytes())
    changed[len(changed) // 2] ^= 1
    double.write_bytes(changed)
    with pytest.raises(ModelTampered) as error:
        Session(double, digest)
    found = hashlib.sha256(changed).hexdigest()
    assert f"{double}: SHA-256 is {found[:16]}..., the contract says {digest[:16]}..." in one_line(error)


@pytest.mark.parametrize("name", ["gone.onnx", ".", "a\0b"])
def test_what_cannot_be_read_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelNotFound, match="cannot read the model") as error:
        Session(tmp_path / name)
    one_line(error)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x08\x09", b"\xff" * 1000, b"{}"])
def test_what_is_no_network_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "text.onnx"
    path.write_bytes(content)
    with pytest.raises(ContractMismatch, match="not a network ONNX Runtime can run") as error:
        Session(path)
    assert str(path) in one_line(error)


def test_a_truncated_network_is_refused(double: Path) -> None:
    double.write_bytes(double.read_bytes()[:-20])
    with pytest.raises(ContractMismatch):
        Session(double)


def test_weights_in_a_second_file_which_no_digest_covers_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = onnx.numpy_helper.from_array(np.full((1, 3), 2, np.float32), "weight")
    node = helper.make_node("Mul", ["x", "weight"], ["y"])
    graph = helper.make_graph([node], "outside", [value("x", [1, 3])], [value("y", [1, 3])], [weight])
    path = tmp_path / "outside.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path,
        save_as_external_data=True, location="weights.data", size_threshold=0,
    )  # fmt: skip
    monkeypatch.chdir(tmp_path)  # where ONNX Runtime would find them
    with pytest.raises(ContractMismatch, match="keeps its weights in a second file"):
        Session(path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_batch_of_another_shape_is_refused(double: Path) -> None:
    with pytest.raises(ContractMismatch, match=r"refuses a batch of shape \(1, 3\)") as error:
        Session(double).run(np.zeros((1, 3), np.float32))
    one_line(error)


def test_a_network_of_another_type_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    path = network(tmp_path, node, [value("x", [1], TensorProto.INT64)], value("y", [1], TensorProto.INT64))
    with pytest.raises(ContractMismatch, match="refuses a batch"):
        Session(path).run(np.zeros(1, np.float32))


def test_a_network_of_two_inputs_is_refused_at_once(tmp_path: Path) -> None:
    node = helper.make_node("Add", ["x", "y"], ["sum"])
    path = network(tmp_path, node, [value("x", [1]), value("y", [1])], value("sum", [1]))
    with pytest.raises(ContractMismatch, match="takes 2 inputs"):
        Session(path)


def test_a_network_without_input_is_refused_at_once(tmp_path: Path) -> None:
    node = helper.make_node("Constant", [], ["y"], value=helper.make_tensor("y", FLOAT, [1], [1.0]))
    with pytest.raises(ContractMismatch, match="takes 0 inputs"):
        Session(network(tmp_path, node, [], value("y", [1])))


def test_outputs_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    node = helper.make_node("SequenceConstruct", ["x"], ["list"])
    path = network(tmp_path, node, [value("x", [1])], helper.make_tensor_sequence_value_info("list", FLOAT, [1]))
    with pytest.raises(ContractMismatch, match="output list is a list, not an array"):
        Session(path).run(np.zeros(1, np.float32))


# the vendor's errors


def test_the_vendors_errors_are_all_known() -> None:
    raised = {name for name, kind in vars(vendor).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert raised == {kind.__name__ for kind in VENDOR_ERRORS}
    assert raised.issuperset(KINDS)


@pytest.mark.parametrize("kind", VENDOR_ERRORS, ids=lambda kind: kind.__name__)
def test_every_vendor_error_is_translated_while_loading(
    double: Path, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*words: object, **options: object) -> None:
        raise kind("it broke\nin two lines")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(ContractMismatch, match=r"can run \(it broke\)") as error:
        Session(double)
    assert isinstance(error.value.__cause__, kind)
    one_line(error)


@pytest.mark.parametrize("kind", VENDOR_ERRORS, ids=lambda kind: kind.__name__)
def test_every_vendor_error_is_translated_while_running(double: Path, kind: type[Exception]) -> None:
    class Broken:
        def run(self, *words: object) -> None:
            raise kind

    network = Session(double)
    network._session = Broken()
    with pytest.raises(ContractMismatch, match=rf"refuses a batch of shape \(1, 2\) \({kind.__name__}\)"):
        network.run(np.zeros((1, 2), np.float32))


# providers


def test_a_provider_that_is_not_installed_is_refused_with_the_remedy(double: Path) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime was built with CUDA")
    with pytest.raises(ProviderUnavailable, match="install onnxruntime-gpu in place of onnxruntime") as error:
        Session(double, options=SessionOptions(("CUDAExecutionProvider",)))
    assert "CUDAExecutionProvider is not available; this installation offers" in one_line(error)


def test_one_missing_provider_among_others_is_refused() -> None:
    with pytest.raises(ProviderUnavailable, match=r"^execution provider WishExecutionProvider is not available"):
        check_providers(["CPUExecutionProvider", "WishExecutionProvider"])


def test_no_provider_is_refused() -> None:
    with pytest.raises(ProviderUnavailable, match=r"\(none\)"):
        check_providers([])


class Falling:
    """ONNX Runtime where it took the CPU in place of the GPU that was asked for."""

    def __init__(self, *words: object, **options: object) -> None:
        pass

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


def test_a_provider_dropped_while_loading_is_refused(double: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "check_providers", lambda names: None)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Falling)
    with pytest.raises(ProviderUnavailable, match="CUDAExecutionProvider could not be started"):
        Session(double, options=SessionOptions(("CUDAExecutionProvider",)))


@pytest.mark.parametrize("kind", [ValueError, RuntimeError])
def test_a_provider_that_fails_to_start_is_refused(
    double: Path, kind: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: object, providers: object, *words: object) -> None:
        raise kind("no device")

    monkeypatch.setattr(onnxruntime.InferenceSession, "_create_inference_session", fail)
    with pytest.raises(ProviderUnavailable, match=r"CPUExecutionProvider could not be started \(no device\)"):
        Session(double)
    assert capsys.readouterr().out == ""  # ONNX Runtime's own way is to say so on stdout and go on with the CPU


def test_a_provider_that_fails_while_running_is_not_replaced(
    double: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        def run(self, *words: object) -> None:
            raise vendor.EPFail("the device is gone")

        def __getattr__(self, name: str) -> object:
            return getattr(whole, name)

    network = Session(double)
    whole = network._session._sess
    monkeypatch.setattr(network._session, "_sess", Broken())
    with pytest.raises(ContractMismatch, match="the device is gone"):
        network.run(np.zeros((1, 2), np.float32))
    assert capsys.readouterr().out == ""
