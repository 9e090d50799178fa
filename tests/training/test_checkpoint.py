"""Checkpoints: whole or not at all, nothing pickled, and a run that goes on as if it had never stopped."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

from twinface.errors import ContractMismatch, ModelNotFound, OutputError  # noqa: E402
from twinface.training import checkpoint as module  # noqa: E402
from twinface.training.checkpoint import (  # noqa: E402
    Checkpoint,
    load,
    optimiser_state,
    restore_optimiser,
    save,
)

FACTS: dict[str, Any] = {
    "recipe": 'name = "zwölf"\n',
    "best": {"step": 3, "accuracy": 0.1 + 0.2, "loss": None},
    "draws": [2**127 + 1, -0.0, 5e-324],
    "done": False,
}


def tensors() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        "network/conv1.weight": torch.randn(4, 3, 3, 3, generator=generator),
        "network/steps": torch.tensor(7),
        "average/conv1.weight": torch.randn(4, 3, generator=generator).t(),  # its rows are not in order
        "bank/templates": torch.randn(5, 2, generator=generator).to(torch.bfloat16),
        "bank/known": torch.tensor([True, False]),
        "bank/none": torch.zeros(0, 128),
    }


def some(step: int = 12, **facts: Any) -> Checkpoint:
    return Checkpoint(step, 1.25, tensors(), facts or FACTS)


def same(one: Any, other: Any) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)


# --- what is saved is what is loaded ----------------------------------------------------------------------------------


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path: Path) -> None:
    path = save(some(), tmp_path, "last")
    found = load(path)

    assert path == tmp_path / "last.safetensors"
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.safetensors"]
    assert (found.step, found.epoch, found.facts) == (12, 1.25, FACTS)
    assert str(found.facts["draws"]) == str(FACTS["draws"])  # the sign of zero too
    assert set(found.tensors) == set(tensors())
    assert all(same(found.tensors[name], value) for name, value in tensors().items())


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path) -> None:
    first = save(some(), tmp_path, "last").read_bytes()
    assert save(some(), tmp_path, "best").read_bytes() == first


def test_tensors_that_share_memory_are_saved_each(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    saved = Checkpoint(0, 0, {"start/a": whole, "network/a": whole, "network/row": whole[1], "b": whole.t()}, {})

    found = load(save(saved, tmp_path, "last"))

    assert all(same(found.tensors[name], value) for name, value in saved.tensors.items())


def test_what_is_loaded_stays_when_the_file_is_replaced(tmp_path: Path) -> None:
    found = load(save(some(), tmp_path, "last"))
    save(
        Checkpoint(13, 1.3, {name: torch.zeros_like(value) for name, value in tensors().items()}, {}), tmp_path, "last"
    )
    assert all(same(found.tensors[name], value) for name, value in tensors().items())


def test_tensors_are_found_by_what_they_belong_to() -> None:
    assert set(some().under("bank")) == {"templates", "known", "none"}
    assert same(some().under("network")["steps"], torch.tensor(7))
    assert some().under("net") == {}


@pytest.mark.parametrize(
    "facts",
    [{"loss": float("nan")}, {"best": float("-inf")}, {"betas": (0.9, 0.999)}, {"steps": {1: 2}}],
    ids=repr,
)
def test_facts_that_would_come_back_otherwise_are_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Checkpoint(0, 0.0, {}, facts)


def test_facts_too_long_to_be_read_again_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FACTS", 100)
    with pytest.raises(ValueError, match="at most 100 fit"):
        Checkpoint(0, 0.0, {}, {"history": "x" * 100})


@pytest.mark.parametrize(("step", "epoch"), [(-1, 0.0), (0, -0.5), (0, float("nan")), (0, float("inf"))])
def test_impossible_places_are_refused(step: int, epoch: float) -> None:
    with pytest.raises(ValueError, match="must be finite and not negative"):
        Checkpoint(step, epoch, {}, {})


# --- trouble while saving ---------------------------------------------------------------------------------------------


def test_a_disk_that_fills_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    # given a system that lets no file grow beyond 50 kB
    resource = pytest.importorskip("resource", reason="limits of file sizes are POSIX")
    save(some(1), tmp_path, "last")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"last\.safetensors: cannot be written \(File too large\)"):
            save(Checkpoint(2, 0.2, {"network/a": torch.ones(100_000)}, {}), tmp_path, "last")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert load(tmp_path / "last.safetensors").step == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.safetensors"]


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_whatever_happens_before_all_is_on_disk_the_checkpoint_before_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    save(some(1), tmp_path, "last")

    def fail(number: int) -> None:
        raise failure

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises((OutputError, KeyboardInterrupt)):
        save(some(2), tmp_path, "last")

    assert load(tmp_path / "last.safetensors").step == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.safetensors"]


# --- trouble while loading --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.999])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    path = save(some(), tmp_path, "last")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])

    with pytest.raises(ContractMismatch, match=r"last\.safetensors: not a whole checkpoint of TwinFace \(.*\); take"):
        load(path)


class Trap:
    """Leaves a mark if it is ever unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


def foreign(path: Path, kind: str) -> None:
    if kind == "pickle":
        torch.save({"state": Trap(path.parent / "mark")}, path)
    elif kind == "text":
        path.write_text("step 12\n" * 100)
    elif kind == "weights":
        save_file({"a": torch.zeros(3)}, path)
    elif kind == "weights with notes":
        save_file({"a": torch.zeros(3)}, path, {"format": "pt"})
    else:
        save_file({"a": torch.zeros(3)}, path, {"twinface": kind})


RECORD = {"checkpoint": 1, "step": 1, "epoch": 0.5, "facts": {}}


@pytest.mark.parametrize(
    "kind",
    [
        "pickle", "text", "weights", "weights with notes", "{", "[1]", "[" * 10_000,
        *(json.dumps({**RECORD, **wrong}) for wrong in (
            {"checkpoint": 2}, {"step": -1}, {"step": "1"}, {"step": 1.5}, {"epoch": float("nan")}, {"facts": []},
        )),
        *(json.dumps({key: value for key, value in RECORD.items() if key != gone}) for gone in RECORD),
    ],
    ids=lambda kind: kind[:40],
)  # fmt: skip
def test_foreign_files_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    foreign(tmp_path / "best.safetensors", kind)

    with pytest.raises(ContractMismatch, match=r"best\.safetensors: not a whole checkpoint") as caught:
        load(tmp_path / "best.safetensors")

    assert str(caught.value).isprintable()
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "make",
    [
        lambda path: None,
        lambda path: path.mkdir(),
        pytest.param(
            os.mkfifo if hasattr(os, "mkfifo") else None,
            marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX"),
        ),
    ],
    ids=["missing", "folder", "pipe"],
)
def test_a_checkpoint_that_is_none_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "last.safetensors")
    with pytest.raises(ModelNotFound, match=r"last\.safetensors: no such checkpoint; give"):
        load(tmp_path / "last.safetensors")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read anything")
def test_a_checkpoint_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    save(some(), tmp_path, "last").chmod(0)
    with pytest.raises(ModelNotFound, match=r"last\.safetensors: cannot be read \("):
        load(tmp_path / "last.safetensors")


# --- optimisers -------------------------------------------------------------------------------------------------------

OPTIMISERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "adam": lambda network: torch.optim.Adam(network.parameters(), 0.01, weight_decay=5e-4),
    "adamw": lambda network: torch.optim.AdamW(network.parameters(), 0.01, (0.8, 0.95)),
    "amsgrad": lambda network: torch.optim.AdamW(network.parameters(), 0.01, amsgrad=True),
    "rate in a tensor": lambda network: torch.optim.Adam(network.parameters(), torch.tensor(0.01)),
    "sgd": lambda network: torch.optim.SGD(network.parameters(), 0.1),
    "sgd with momentum": lambda network: torch.optim.SGD(network.parameters(), 0.1, 0.9, nesterov=True),
    "two groups": lambda network: torch.optim.SGD(
        [{"params": network[0].parameters()}, {"params": network[2].parameters(), "lr": 0.3}], 0.1, 0.9
    ),
}


def small() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))


def train(network: nn.Module, optimiser: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        optimiser.param_groups[0]["lr"] = optimiser.param_groups[0]["lr"] * 0.5  # as a schedule does
        optimiser.zero_grad()
        network(torch.randn(8, 4, generator=generator)).square().mean().backward()
        optimiser.step()


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_run_goes_on_bit_for_bit_as_if_it_had_not_stopped(tmp_path: Path, name: str) -> None:
    # given a run of six steps, and one that is saved after three
    through, stopped = small(), small()
    uninterrupted, optimiser = OPTIMISERS[name](through), OPTIMISERS[name](stopped)
    train(through, uninterrupted, range(6))
    train(stopped, optimiser, range(3))
    held, facts = optimiser_state(optimiser)
    weights = {f"network/{key}": value for key, value in stopped.state_dict().items()}
    kept = {f"optimiser/{key}": value for key, value in held.items()}
    path = save(Checkpoint(3, 0.5, weights | kept, {"optimiser": facts}), tmp_path, "last")

    # when another network and optimiser take it up
    found = load(path)
    network = small()
    network.load_state_dict(found.under("network"))
    taken_up = OPTIMISERS[name](network)
    restore_optimiser(taken_up, found.under("optimiser"), found.facts["optimiser"])
    train(network, taken_up, range(3, 6))

    # then nothing tells the two apart
    assert all(same(value, network.state_dict()[key]) for key, value in through.state_dict().items())
    (tensors, said), (wanted, told) = optimiser_state(taken_up), optimiser_state(uninterrupted)
    assert said == told
    assert set(tensors) == set(wanted)
    assert all(same(value, tensors[key]) for key, value in wanted.items())


def test_restoring_leaves_the_checkpoint_as_it_is() -> None:
    network = small()
    optimiser = OPTIMISERS["adam"](network)
    train(network, optimiser, range(2))
    held, facts = optimiser_state(optimiser)
    held = {key: value.clone() for key, value in held.items()}
    before = {key: value.clone() for key, value in held.items()}, json.dumps(facts)

    other = small()
    taken_up = OPTIMISERS["adam"](other)
    restore_optimiser(taken_up, held, facts)
    train(other, taken_up, range(2))

    assert all(torch.equal(value, before[0][key]) for key, value in held.items())
    assert json.dumps(facts) == before[1]


def test_what_is_remembered_lies_in_memory_as_the_parameter_does() -> None:
    # given a convolution whose channels lie innermost, as is quicker on many processors
    def network() -> Any:
        torch.manual_seed(3)
        return nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)

    one, other = network(), network()
    optimiser, taken_up = torch.optim.AdamW(one.parameters(), 0.01), torch.optim.AdamW(other.parameters(), 0.01)
    one(torch.ones(1, 3, 4, 4)).square().mean().backward()
    optimiser.step()

    # when its optimiser is restored from rows in order
    tensors, facts = optimiser_state(optimiser)
    restore_optimiser(taken_up, {key: value.contiguous() for key, value in tensors.items()}, facts)

    # then no later step sums in another order
    found, wanted = taken_up.state[other.weight]["exp_avg"], optimiser.state[one.weight]["exp_avg"]
    assert found.stride() == wanted.stride() != found.contiguous().stride()
    assert torch.equal(found, wanted)


def test_betas_are_a_pair_again_and_how_it_computes_stays_its_own() -> None:
    network = small()
    saved = torch.optim.Adam(network.parameters(), 0.01, foreach=True)
    train(network, saved, range(1))
    tensors, facts = optimiser_state(saved)

    taken_up = torch.optim.Adam(small().parameters(), 0.5, foreach=False)
    restore_optimiser(taken_up, tensors, json.loads(json.dumps(facts)))

    (group,) = taken_up.param_groups
    assert group["betas"] == (0.9, 0.999)
    assert group["lr"] == saved.param_groups[0]["lr"] == 0.005
    assert group["foreach"] is False


def test_fabrics_wrapper_is_seen_through() -> None:
    fabric = pytest.importorskip("lightning_fabric").Fabric(accelerator="cpu", devices=1)
    bare = small()
    network, optimiser = fabric.setup(bare, OPTIMISERS["adamw"](bare))
    train(network, optimiser, range(2))

    tensors, facts = optimiser_state(optimiser)
    other = OPTIMISERS["adamw"](small())
    restore_optimiser(other, tensors, facts)
    twin = small()
    _, taken_up = fabric.setup(twin, OPTIMISERS["adamw"](twin))
    restore_optimiser(taken_up, *optimiser_state(other))

    assert facts["kind"] == "AdamW"
    assert all(same(value, tensors[key]) for key, value in optimiser_state(taken_up)[0].items())


def wider() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))


def deeper() -> nn.Sequential:
    return nn.Sequential(*small(), nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("taken_up", "said"),
    [
        (lambda: OPTIMISERS["sgd"](small()), "its optimiser is Adam, the recipe's SGD; resume with"),
        (lambda: OPTIMISERS["adam"](wider()), r"exp_avg of parameter 0 is of shape \(5, 4\) for \(6, 4\)"),
        (lambda: OPTIMISERS["adam"](deeper()), "does not fit this network"),
        (lambda: OPTIMISERS["adam"](nn.Linear(4, 5)), "does not fit this network"),
        (lambda: torch.optim.Adam([{"params": [one]} for one in small().parameters()]), "does not fit this network"),
    ],
    ids=["kind", "wider", "deeper", "shallower", "groups"],
)
def test_the_state_of_another_run_is_refused(taken_up: Callable[[], torch.optim.Optimizer], said: str) -> None:
    network = small()
    optimiser = OPTIMISERS["adam"](network)
    train(network, optimiser, range(1))
    tensors, facts = optimiser_state(optimiser)

    with pytest.raises(ContractMismatch, match=said) as caught:
        restore_optimiser(taken_up(), tensors, facts)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"kind": "Adam"},
        {"kind": "Adam", "state": [], "groups": []},
        {"kind": "Adam", "state": {"x": 1}, "groups": 3},
    ],
    ids=repr,
)
def test_facts_that_are_none_are_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(ContractMismatch):
        restore_optimiser(OPTIMISERS["adam"](small()), {}, facts)


@pytest.mark.parametrize("name", ["x", "state/9/exp_avg", "state/x/exp_avg", "bank/0/exp_avg"])
def test_tensors_that_belong_nowhere_are_refused(name: str) -> None:
    network = small()
    optimiser = OPTIMISERS["adam"](network)
    train(network, optimiser, range(1))
    tensors, facts = optimiser_state(optimiser)
    with pytest.raises(ContractMismatch, match="does not fit this network"):
        restore_optimiser(optimiser, {**tensors, name: torch.zeros(1)}, facts)
