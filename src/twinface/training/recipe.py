"""What decides a training run, as one tree of frozen values; `recipe_file` reads it from TOML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from twinface.training.augmentation import AugmentationOptions

SOURCES = ("folder", "lfw-dev-train", "lfw-outside", "utkface", "celeba")
"""What `DataRecipe.sources` may name; `sources` opens them."""


@dataclass(frozen=True)
class DataRecipe:
    """Which pictures, and how they become crops.

    Attributes:
        sources: whose pictures are trained on, of `SOURCES`.
        root: folder or archive of the only source, or folder in which all sources lie; `--root` sets it.
        crop: "aligned" cuts the face out as the encoder's contract says; "whole" resizes the picture.
        size: side of the crops, pixels.
        margin: pixels stored around an aligned crop, so that augmentation can shift and turn it.
        validation: share of the persons kept for validation; no person is on both sides.
        held_out: share of UTKFace's and CelebA's persons that no run sees, by a fixed digest of their names.
        corrupt: share of pictures that may be unreadable or without a face before the run is refused.
    """

    sources: tuple[str, ...] = ("folder",)
    root: str = ""
    crop: Literal["aligned", "whole"] = "aligned"
    size: int = 150
    margin: int = 14
    validation: float = 0.2
    held_out: float = 0.0
    corrupt: float = 0.02


@dataclass(frozen=True)
class BackboneRecipe:
    """The network.

    Attributes:
        name: of `backbones.NAMES`.
        dimension: length of the embedding.
        size: side of the network's input, pixels; 0 for that of the crops, from which it is shrunk otherwise.
        start: "" for random weights, "dlib" for the public-domain ResNet-29, else a shipped encoder's name, a
            contract's path, a run's folder or a .safetensors.
        unit: whether embeddings are scaled to unit length before distances are taken.
    """

    name: str = "resnet29"
    dimension: int = 128
    size: int = 0
    start: str = ""
    unit: bool = True


@dataclass(frozen=True)
class BatchPart:
    """One part of every batch.

    Attributes:
        kind: "pairs" draws pairs of pictures; "per-class" persons with several pictures each; "neighbours" pictures
            and those that the memory bank finds nearest among other persons of their group; "random" single pictures.
        sources: of `DataRecipe.sources`; empty for all.
        count: pairs, persons, anchors or pictures, by kind.
        pictures: "per-class": of each person; "neighbours": how many neighbours an anchor brings.
        views: "neighbours": so many of the pictures occur once more, augmented otherwise, as mated pairs.
        pairing: "pairs": "given" takes the source's list, "all" every combination, "balanced" every mated pair and as
            many random others, anew each epoch.
        distil: factor on the distillation loss of this part's pictures.
        groups: only pictures of these groups, as "Asian"; empty for all, those of unknown groups too. Of "neighbours"
            the anchors, whose neighbours are of their group anyhow. Several parts with a group each say how much of a
            batch each group is, whatever its size in the data.
    """

    kind: Literal["pairs", "per-class", "neighbours", "random"] = "pairs"
    sources: tuple[str, ...] = ()
    count: int = 64
    pictures: int = 4
    views: int = 0
    pairing: Literal["given", "all", "balanced"] = "balanced"
    distil: float = 1.0
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class MiningRecipe:
    """How the memory bank finds neighbours.

    Attributes:
        every: steps between two searches.
        nearest: so many neighbours of each picture are remembered.
        same: base distance below which two pictures may show one person: never a non-mated pair.
        slack: distance beyond the margin at which a neighbour still makes its anchor likelier to be drawn.
        momentum: weight of the bank's old template when a new one comes.
    """

    every: int = 40
    nearest: int = 12
    same: float = 0.22
    slack: float = 0.03
    momentum: float = 0.5


@dataclass(frozen=True)
class LossRecipe:
    """One term of the loss.

    Attributes:
        kind: "contrastive", "triplet", "arcface", "cosface" or "distillation".
        weight: factor.
        margin: of the loss; distance for contrastive and triplet, radians for arcface, cosine for cosface.
        positive_margin: contrastive: mated pairs nearer than this are near enough.
        scale: arcface and cosface: inverse temperature.
        mining: which triplets: "all", "semi-hard" or "hard".
        reduce: contrastive: "pairs" for the mean over all pairs, "violations" for the mean of mated and, for each
            picture, the sum of non-mated pairs, which does not fade as violations become rare.
    """

    kind: Literal["contrastive", "triplet", "arcface", "cosface", "distillation"] = "contrastive"
    weight: float = 1.0
    margin: float = 1.0
    positive_margin: float = 0.0
    scale: float = 32.0
    mining: Literal["all", "semi-hard", "hard"] = "all"
    reduce: Literal["pairs", "violations"] = "pairs"


@dataclass(frozen=True)
class TeacherRecipe:
    """Whom a distillation loss follows.

    Attributes:
        model: a shipped encoder's name, a contract's path, or "" for none.
        view: "clean" gives the teacher the crop, once and before training, with its mirror image; "same" the augmented
            picture the student sees, every time (L. Beyer et al., "Knowledge distillation: a good teacher is patient
            and consistent", CVPR 2022).
        mixup: share of pictures blended with another before both see them; "same" only.
    """

    model: str = ""
    view: Literal["clean", "same"] = "clean"
    mixup: float = 0.0


@dataclass(frozen=True)
class OptimiserRecipe:
    """How weights move.

    Attributes:
        name: "adam", "adamw" or "sgd".
        learning_rate: at its highest.
        weight_decay: strength.
        momentum: of SGD.
        clip: largest norm of the gradient; 0 for any.
        average: decay of the moving average of the weights; 0 for none. The average is what is evaluated and exported.
        blend: share of the trained weights in the result, the rest is the start's (M. Wortsman et al., "Robust
            fine-tuning of zero-shot models", CVPR 2022); 1 for trained weights alone.
    """

    name: Literal["adam", "adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    momentum: float = 0.9
    clip: float = 5.0
    average: float = 0.0
    blend: float = 1.0


@dataclass(frozen=True)
class ScheduleRecipe:
    """How long, and how the learning rate changes.

    Attributes:
        kind: "constant", or "cosine" down to a hundredth.
        epochs: passes over the training data; 0 where `steps` says how long.
        steps: batches; 0 where `epochs` says how long.
        warmup: steps over which the learning rate grows from 0.
    """

    kind: Literal["constant", "cosine"] = "cosine"
    epochs: int = 0
    steps: int = 0
    warmup: int = 0


@dataclass(frozen=True)
class EvaluationRecipe:
    """How a run is watched.

    Attributes:
        every: steps between two validations; 0 for once an epoch.
        threshold: distance up to which a pair counts as mated; 0 for the one that is best on the training pairs.
        pairs: validation pairs at most, half of them mated; drawn once.
        best: what the best checkpoint is best in: "loss" or "accuracy" on validation, or simply the "last".
        lfw: judge the pairs of LFW's View 1 DevTest at the end; where `data.validation` is 0 they are the validation.
    """

    every: int = 0
    threshold: float = 0.0
    pairs: int = 4000
    best: Literal["loss", "accuracy", "last"] = "accuracy"
    lfw: bool = False


@dataclass(frozen=True)
class ExportRecipe:
    """What `twinface export` makes of the run.

    Attributes:
        name: of the model; "" for the recipe's.
        mirror: whether templates of picture and mirror image are added by default.
        licence: of the weights.
        source: where the weights come from, in a sentence.
    """

    name: str = ""
    mirror: bool = True
    licence: str = ""
    source: str = ""


@dataclass(frozen=True)
class DeviceRecipe:
    """What the run computes on and how.

    Attributes:
        precision: "32" or "bf16" (network only; weights and losses stay float32).
        augment: "loader" augments in the loader's processes, "device" on the device the network runs on.
        workers: loader processes; 0 loads in the training process.
        threads: of each process; 0 leaves torch's choice.
        compile: whether torch compiles the network.
    """

    precision: Literal["32", "bf16"] = "32"
    augment: Literal["loader", "device"] = "loader"
    workers: int = 0
    threads: int = 0
    compile: bool = False


@dataclass(frozen=True)
class Recipe:
    """A whole run; `profile` tables of the file overlay it, see `recipe_file.read_recipe`."""

    name: str
    seed: int = 1
    data: DataRecipe = field(default_factory=DataRecipe)
    backbone: BackboneRecipe = field(default_factory=BackboneRecipe)
    batch: tuple[BatchPart, ...] = (BatchPart(),)
    mining: MiningRecipe = field(default_factory=MiningRecipe)
    loss: tuple[LossRecipe, ...] = (LossRecipe(),)
    teacher: TeacherRecipe = field(default_factory=TeacherRecipe)
    optimiser: OptimiserRecipe = field(default_factory=OptimiserRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    augmentation: AugmentationOptions = field(default_factory=AugmentationOptions)
    evaluation: EvaluationRecipe = field(default_factory=EvaluationRecipe)
    export: ExportRecipe = field(default_factory=ExportRecipe)
    device: DeviceRecipe = field(default_factory=DeviceRecipe)
