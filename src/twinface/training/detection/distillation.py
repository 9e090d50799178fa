"""Trains the student detector against a teacher: labels, batches and the loop."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from twinface.training.detection.network import DetectorNet, LossWeights, distillation_loss
from twinface.training.detection.scenes import Picture, SceneOptions, ScenePainter
from twinface.training.detection.teacher import Teacher, teacher_maps
from twinface.training.weights import moving_average, save_weights


@dataclass(frozen=True)
class DistillationRecipe:
    """What decides the student's weights, beside the pictures."""

    seed: int = 1
    width: int = 64
    batch: int = 32
    steps: int = 14000
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    warmup: int = 300
    average: float = 0.999
    """Decay of the moving average of the weights, which is what ships."""
    scene: SceneOptions = field(default_factory=SceneOptions)
    loss: LossWeights = field(default_factory=LossWeights)


class SceneStream(IterableDataset[tuple[Tensor, list[Tensor]]]):
    """Endless batches of scenes with the teacher's maps. `open_teacher` is called once in each worker."""

    def __init__(
        self,
        sources: Sequence[Sequence[Picture]],
        shares: Sequence[float],
        open_teacher: Callable[[], Teacher],
        recipe: DistillationRecipe,
        skip: int = 0,
    ) -> None:
        self._sources, self._shares = sources, shares
        self._open_teacher = open_teacher
        self._recipe = recipe
        self._skip = skip

    def __iter__(self) -> Iterator[tuple[Tensor, list[Tensor]]]:
        cv2.setNumThreads(1)
        worker = get_worker_info()
        seed = self._recipe.seed * 1_000_003 + self._skip * 101 + (worker.id if worker else 0)
        painter = ScenePainter(self._sources, self._shares, self._recipe.scene, seed)
        teacher = self._open_teacher()
        while True:
            scenes = np.stack([painter.paint() for _ in range(self._recipe.batch)])
            maps = teacher_maps(teacher, scenes)
            yield torch.from_numpy(scenes), [torch.from_numpy(one) for one in maps]


def distil(
    stream: SceneStream,
    recipe: DistillationRecipe,
    folder: Path,
    *,
    threads: int = 1,
    workers: int = 1,
    resume: bool = False,
    report: Callable[[str], None] = print,
) -> DetectorNet:
    """Trains the student and returns the averaged network.

    `workers` processes of their own draw and label the scenes; 0 draws them in this one, which a process that already
    runs threads should choose, as they are forked. Writes `student.safetensors` (averaged weights),
    `raw.safetensors` (for resuming) and `log.jsonl` into `folder`.
    """
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(threads)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1))
    network = DetectorNet(recipe.width)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    start = 0
    if resume:
        network.load_state_dict(load_file(folder / "raw.safetensors"))
        start = json.loads((folder / "state.json").read_text())["step"]
    average = moving_average(network, recipe.average)
    if resume:
        average.module.load_state_dict(load_file(folder / "student.safetensors"))
        average.n_averaged.fill_(max(start, 1))
    optimiser = torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    loader = DataLoader(stream, batch_size=None, num_workers=workers, prefetch_factor=8 if workers else None)
    began, sums, seen = time.monotonic(), dict.fromkeys(("score", "box", "landmarks"), 0.0), 0
    with (folder / "log.jsonl").open("a") as log:
        for step, (scenes, maps) in enumerate(loader, start + 1):
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * _schedule(step, recipe.warmup, recipe.steps)
            images = scenes.permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
            loss, parts = distillation_loss(network(images), maps, recipe.loss)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            average.update_parameters(network)
            seen += 1
            for name, value in parts.items():
                sums[name] += value
            if step % 100 == 0 or step == recipe.steps:
                line = {name: round(value / seen, 5) for name, value in sums.items()}
                rate = recipe.batch * (step - start) / (time.monotonic() - began)
                log.write(json.dumps({"step": step, **line, "pictures_per_second": round(rate, 1)}) + "\n")
                log.flush()
                report(f"step {step}/{recipe.steps} {line} {rate:.0f} pictures/s")
                sums, seen = dict.fromkeys(sums, 0.0), 0
            if step % 500 == 0 or step == recipe.steps:
                save_weights(network, folder / "raw.safetensors")
                save_weights(average.module, folder / "student.safetensors")
                (folder / "state.json").write_text(json.dumps({"step": step}))
            if step >= recipe.steps:
                break
    network.load_state_dict(average.module.state_dict())
    return network.eval()


def _schedule(step: int, warmup: int, steps: int) -> float:
    """Linear warm-up, then half a cosine down to one percent."""
    if step < warmup:
        return step / warmup
    return 0.01 + 0.99 * 0.5 * (1.0 + float(np.cos(np.pi * (step - warmup) / max(1, steps - warmup))))
