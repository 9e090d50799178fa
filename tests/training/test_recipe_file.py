import json
import tomllib
from collections.abc import Callable
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs the train extra")

from twinface.errors import RecipeError
from twinface.training.augmentation import PLAIN, AugmentationOptions
from twinface.training.recipe import BatchPart, LossRecipe, Recipe, ScheduleRecipe
from twinface.training.recipe_file import LARGEST, profiles, read_recipe, write_recipe

RECIPES = Path(__file__).parents[2] / "recipes"

BASE = """\
name = "base"
[data]
sources = ["utkface", "celeba"]
[[batch]]
kind = "per-class"
[[loss]]
margin = 0.5
[[loss]]
kind = "triplet"
[schedule]
epochs = 3
"""

PROFILED = f"""\
{BASE}
[profile.cpu.schedule]
epochs = 1
[profile.gpu]
seed = 7
[profile.gpu.device]
precision = "bf16"
[[profile.gpu.batch]]
kind = "random"
count = 512
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a recipe's file."""

    def written(content: str | bytes) -> Path:
        path = tmp_path / "recipe.toml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return written


def refusal(path: Path, *words: Any, **options: Any) -> str:
    """The one line a file or a change is refused with."""
    with pytest.raises(RecipeError) as error:
        read_recipe(path, *words, **options)
    assert str(error.value).isprintable()
    return str(error.value)


class TestReading:
    def test_what_is_not_said_is_the_default(self, write: Write) -> None:
        recipe = read_recipe(write('name = "short"\nschedule.epochs = 2'))
        assert recipe == Recipe(name="short", schedule=ScheduleRecipe(epochs=2))

    def test_tables_arrays_and_lists_become_the_tree(self, write: Write) -> None:
        recipe = read_recipe(write(BASE))
        assert recipe.data.sources == ("utkface", "celeba")
        assert recipe.batch == (BatchPart(kind="per-class"),)
        assert recipe.loss == (LossRecipe(margin=0.5), LossRecipe(kind="triplet"))

    def test_a_whole_number_will_do_for_any_number(self, write: Write) -> None:
        margin = read_recipe(write(BASE.replace("0.5", "2"))).loss[0].margin
        assert (margin, type(margin)) == (2.0, float)

    @pytest.mark.parametrize("text", ["\N{BYTE ORDER MARK}" + BASE, BASE.replace("\n", "\r\n")])
    def test_what_editors_do_to_files_does_not_matter(self, write: Write, text: str) -> None:
        plain = read_recipe(write(BASE))
        assert read_recipe(write(text)) == plain


class TestWrongFiles:
    def test_a_missing_file_is_named_with_the_reason(self, tmp_path: Path) -> None:
        message = refusal(tmp_path / "none.toml")
        assert message.endswith("none.toml: cannot be read (No such file or directory); give another recipe")

    @pytest.mark.parametrize("name", ["", "nul\0l"])
    def test_what_is_no_file_is_named_with_the_reason(self, tmp_path: Path, name: str) -> None:
        assert "cannot be read (" in refusal(tmp_path / name)

    def test_a_huge_file_is_not_read(self, write: Write) -> None:
        assert read_recipe(write(BASE + "#" * (LARGEST - len(BASE)))).name == "base"
        assert "bytes are too many" in refusal(write(BASE + "#" * (LARGEST - len(BASE) + 1)))

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ('name = "a"\nseed 3\n', "recipe.toml: line 2: no valid TOML (Expected '='"),
            ('name = "a"\n[data', "recipe.toml: line 2: no valid TOML ("),
            ('name = "a"\nname = "b"\n', "recipe.toml: line 2: no valid TOML (Cannot overwrite"),
            ('name = "a\x07"', "line 1: no valid TOML ("),
            (b'name = "a"\n\nseed = "\xff"', "line 3: no UTF-8 text"),
            ("seed = " + "9" * 5000, "too many digits"),
            ("seed = " + "[" * 100_000, "too deep"),
            ("seed = " + "{a=" * 100_000, "too deep"),
        ],
    )
    def test_what_is_no_toml_is_said_with_the_line(self, write: Write, content: str | bytes, said: str) -> None:
        assert said in refusal(write(content))


WRONG = [  # line, or lines, added to the base; what the message says
    ("[[loss]]\nmargn = 1", "loss.2.margn: unknown key; did you mean margin?"),
    ("[augmentation]\nrotate = 1", "augmentation.rotate: unknown key; did you mean rotation?"),
    ("[optimizer]\n", "optimizer: unknown key; did you mean optimiser?"),
    ("[profiles.gpu]\n", "profiles: unknown key; did you mean profile?"),
    ("[zzz]\n", "zzz: unknown key; choose one of name, seed, data,"),
    ('[mining]\n"a\\nb" = 1', r"'mining.a\nb': unknown key; choose one of every"),
    ("data = 3", "data: expected a table, found 3"),
    ("batch = 3", "batch: expected a list of tables, each [[batch]], found 3"),
    ("[batch]\ncount = 3", "batch: expected a list of tables, each [[batch]], found a table"),
    ("batch = [3]", "batch.0: expected a table, found 3"),
    ('seed = "3"', 'seed: expected a whole number, found "3"'),
    ("seed = 3.0", "seed: expected a whole number, found 3.0"),
    ("seed = true", "seed: expected a whole number, found true"),
    ("seed = 1979-05-27", "seed: expected a whole number, found a date or time"),
    ("seed = []", "seed: expected a whole number, found a list"),
    ("seed = 9223372036854775808", "seed: expected a finite number of at most 64 bits, found a number beyond 64 bits"),
    ("seed = 0x" + "f" * 5000, "seed: expected a finite number"),
    ("[mining]\nsame = true", "mining.same: expected a number, found true"),
    ("[mining]\nsame = 0x" + "f" * 5000, "mining.same: expected a number, found a number beyond 64 bits"),
    ("[mining]\nsame = nan", "mining.same: expected a finite number of at most 64 bits, found nan"),
    ("[mining]\nsame = -inf", "mining.same: expected a finite number of at most 64 bits, found -inf"),
    ("[mining]\nsame = 1e999", "mining.same: expected a finite number of at most 64 bits, found inf"),
    ("[augmentation]\nblur = nan", "augmentation.blur: expected a finite number"),
    ("[backbone]\nunit = 1", "backbone.unit: expected true or false, found 1"),
    ("[backbone]\nname = 29", "backbone.name: expected text, found 29"),
    ('data.sources = "celeba"', 'data.sources: expected a list, found "celeba"'),
    ("data.sources = [1]", "data.sources.0: expected text, found 1"),
    ('data.root = "a\\u0000"', "data.root: has a zero byte"),
    ('[[loss]]\nkind = "tripel"', 'loss.2.kind: expected one of "contrastive", "triplet"'),
    ('[[loss]]\nkind = "tripel"', 'found "tripel"; did you mean "triplet"?'),
    ("[device]\nprecision = 32", 'device.precision: expected one of "32", "bf16", found 32'),
    ("[device]\nprecision = 0x" + "f" * 5000, "found a number beyond 64 bits"),
    ("[augmentation]\nrotation = 200", "augmentation.rotation must lie between 0 and 180, got 200"),
    ("[data]\nsize = 8", "data.size: must be at least 16, got 8"),
    ('teacher.model = "resnet29"', "teacher.model: nothing is learnt"),
]


class TestWrongRecipes:
    @pytest.mark.parametrize(("lines", "said"), WRONG, ids=[lines[:40] for lines, _ in WRONG])
    def test_what_is_wrong_is_said_with_its_path(self, write: Write, lines: str, said: str) -> None:
        first = lines.partition("\n")[0]
        base = BASE if first.startswith("[[") else 'name = "base"\nschedule.epochs = 1\n'
        assert said in refusal(write(f"{base}{lines}\n")).removeprefix(str(write("")))

    def test_a_name_is_needed(self, write: Write) -> None:
        assert refusal(write("seed = 3")).endswith("recipe.toml: name: is missing; add it")

    def test_a_wrong_base_is_refused_though_a_profile_corrects_it(self, write: Write) -> None:
        text = 'name = "a"\nseed = "x"\n[profile.cpu]\nseed = 3\nschedule.epochs = 1'
        assert "seed: expected a whole number" in refusal(write(text), "cpu")


class TestProfiles:
    def test_their_names_are_in_the_files_order(self, write: Write) -> None:
        assert profiles(write(PROFILED)) == ("cpu", "gpu")
        assert profiles(write(BASE)) == ()

    def test_none_leaves_the_recipe_as_it_stands(self, write: Write) -> None:
        plain = read_recipe(write(BASE))
        assert read_recipe(write(PROFILED)) == plain

    def test_tables_merge_and_arrays_are_replaced(self, write: Write) -> None:
        base, found = read_recipe(write(BASE)), read_recipe(write(PROFILED), "gpu")
        assert found == replace(
            base, seed=7, batch=(BatchPart(kind="random", count=512),), device=replace(base.device, precision="bf16")
        )

    def test_tables_keep_what_the_profile_does_not_say(self, write: Write) -> None:
        text = BASE.replace("epochs = 3", 'epochs = 3\nkind = "constant"') + "[profile.cpu.schedule]\nepochs = 1"
        assert read_recipe(write(text), "cpu").schedule == ScheduleRecipe(kind="constant", epochs=1)

    def test_an_unknown_one_brings_the_nearest_or_all(self, write: Write) -> None:
        assert refusal(write(PROFILED), "gpus").endswith('there is no profile "gpus"; did you mean gpu?')
        assert refusal(write(PROFILED), "tpu2x").endswith("choose one of cpu, gpu")
        assert refusal(write(BASE), "gpu").endswith("there are none, so leave it out")

    @pytest.mark.parametrize("profile", [None, "cpu", "gpu"])
    def test_all_are_checked_whichever_is_chosen(self, write: Write, profile: str | None) -> None:
        misspelt = PROFILED.replace("precision", "precison")
        wanted = "recipe.toml: profile.gpu.device.precison: unknown key; did you mean precision?"
        assert refusal(write(misspelt), profile).endswith(wanted)
        impossible = PROFILED.replace("count = 512", "count = 0")
        wanted = "recipe.toml, profile gpu: batch.0.count: must be at least 1, got 0"
        assert refusal(write(impossible), profile).endswith(wanted)

    @pytest.mark.parametrize(
        ("lines", "said"),
        [
            ("profile = 3", "profile: expected tables such as [profile.gpu], found 3"),
            ("[profile]\ngpu = 3", "profile.gpu: expected a table, found 3"),
            ("[profile.gpu.profile]\n", "profile.gpu.profile: unknown key"),
            ("[profile.gpu]\nloss = 3", "profile.gpu.loss: expected a list of tables, each [[profile.gpu.loss]]"),
        ],
    )
    def test_their_shape_is_checked(self, write: Write, lines: str, said: str) -> None:
        assert said in refusal(write(f'name = "a"\nschedule.epochs = 1\n{lines}'))

    def test_a_recipe_may_be_complete_with_a_profile_only(self, write: Write) -> None:
        path = write('name = "a"\n[profile.cpu.schedule]\nsteps = 9')
        assert read_recipe(path, "cpu").schedule.steps == 9
        assert "recipe.toml, no profile: schedule: either epochs or steps" in refusal(path)
        assert read_recipe(path, changes=["schedule.steps=8"]).schedule.steps == 8


class TestChanges:
    @pytest.mark.parametrize(
        ("change", "found"),
        [
            ("seed=3", lambda recipe: recipe.seed == 3),
            (" loss.1.margin = 2 # a remark", lambda recipe: recipe.loss[1].margin == 2.0),
            ("loss.0={weight=2}", lambda recipe: recipe.loss[0] == LossRecipe(margin=0.5, weight=2.0)),
            ('loss=[{kind="triplet"}]', lambda recipe: recipe.loss == (LossRecipe(kind="triplet"),)),
            ("schedule={epochs=2}", lambda recipe: recipe.schedule.epochs == 2),
            ('data.sources=["celeba"]', lambda recipe: recipe.data.sources == ("celeba",)),
            ("data.sources.0=lfw-outside", lambda recipe: recipe.data.sources == ("lfw-outside", "celeba")),
            ("backbone.unit=false", lambda recipe: recipe.backbone.unit is False),
            ("device.precision=bf16", lambda recipe: recipe.device.precision == "bf16"),
            ("device.precision=32", lambda recipe: recipe.device.precision == "32"),
            ("data.root=/faces/of all", lambda recipe: recipe.data.root == "/faces/of all"),
            ("data.root=C:\\faces", lambda recipe: recipe.data.root == "C:\\faces"),
            ('data.root="C:\\\\faces"', lambda recipe: recipe.data.root == "C:\\faces"),
            ("data.root=2024-01-01", lambda recipe: recipe.data.root == "2024-01-01"),
            ("data.root=a=b", lambda recipe: recipe.data.root == "a=b"),
            ("data.root=1\nseed=3", lambda recipe: (recipe.data.root, recipe.seed) == ("1\nseed=3", 1)),
            ("data.root=", lambda recipe: recipe.data.root == ""),
        ],
    )
    def test_a_change_is_made(self, write: Write, change: str, found: Callable[[Recipe], bool]) -> None:
        before = read_recipe(write(BASE))
        after = read_recipe(write(BASE), changes=[change])
        assert found(after)
        assert after != before or change in ("data.root=", "device.precision=32")

    def test_changes_come_last_and_in_their_order(self, write: Write) -> None:
        assert read_recipe(write(PROFILED), "gpu", ["seed=8", "seed=9"]).seed == 9

    def test_defaults_that_the_file_does_not_name_can_be_changed(self, write: Write) -> None:
        recipe = read_recipe(write('name = "a"\nschedule.epochs = 1'), changes=["loss.0.margin=0.25", "mining.every=3"])
        assert (recipe.loss, recipe.mining.every) == ((LossRecipe(margin=0.25),), 3)

    def test_together_changes_may_do_what_one_alone_may_not(self, write: Write) -> None:
        changes = ["schedule.epochs=0", "schedule.steps=100"]
        assert read_recipe(write(BASE), changes=changes).schedule.steps == 100

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ("seed", '--set: "seed" is no key=value'),
            ("=3", '--set: "=3" is no key=value'),
            ("", '--set: "" is no key=value'),
            ("sed=3", "--set: sed: unknown key; did you mean seed?"),
            ("loss.0.margn=3", "--set: loss.0.margn: unknown key; did you mean margin?"),
            ("loss.2.margin=3", "--set: loss.2: no such item; there are 2, numbered from 0"),
            ("loss.2={}", "--set: loss.2: no such item; there are 2, numbered from 0"),
            ("loss.-1.margin=3", "--set: loss.-1: no such item"),
            ("loss.00.margin=3", "--set: loss.00: no such item"),
            ("loss.margin=3", "--set: loss.margin: no such item"),
            ("seed.0=3", "--set: seed.0: there is nothing within a single value"),
            ("data..size=3", "--set: data.: unknown key"),
            ("data=3", "--set: data: expected a table, found 3"),
            ("seed=x", '--set: seed: expected a whole number, found "x"'),
            ("loss.0.margin=nan", "--set: loss.0.margin: expected a finite number of at most 64 bits, found nan"),
            ("loss.0.margin=inf", "--set: loss.0.margin: expected a finite number"),
            ("loss.0.kind=tripel", '; did you mean "triplet"?'),
            ("seed=" + "[" * 5000, "--set: seed: expected a whole number"),
            ("seed=" + "9" * 5000, "--set: seed: expected a whole number"),
            ("profile.gpu.seed=3", "--set: profile: unknown key"),
            ("name=a/b", "recipe.toml, --set: name: a/b cannot name a folder"),
            ("data.root=\udcff", "--set: data.root: '\\udcff' is no Unicode text"),
            ("augmentation.rotation=200", "--set: augmentation.rotation must lie between 0 and 180"),
        ],
    )
    def test_a_wrong_change_is_named(self, write: Write, change: str, said: str) -> None:
        assert said in refusal(write(BASE), changes=[change])

    def test_an_impossible_change_says_what_it_was_made_to(self, write: Write) -> None:
        message = refusal(write(PROFILED), "gpu", ["batch.0.count=0"])
        assert message.endswith("recipe.toml, profile gpu, --set: batch.0.count: must be at least 1, got 0")


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
ANY_FLOAT = st.floats(allow_nan=False, allow_infinity=False)
SHARE = st.floats(0, 1, exclude_max=True)
AMOUNT = st.floats(0, allow_infinity=False)
WHOLE = st.integers(0, 2**63 - 1)


def anything(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a declared type, sensible or not."""
    if kind is AugmentationOptions:
        return st.builds(
            AugmentationOptions, mirror=SHARE, blur_sigma=st.floats(0, 50), jpeg_quality=st.integers(1, 95)
        )
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return st.builds(kind, **{field.name: anything(hints[field.name]) for field in fields(kind)})  # type: ignore[arg-type]
    if get_origin(kind) is tuple:
        return st.lists(anything(get_args(kind)[0]), max_size=3).map(tuple)
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    return {str: TEXT, int: st.integers(-(2**63), 2**63 - 1), float: ANY_FLOAT, bool: st.booleans()}[kind]


@st.composite
def trainable(draw: st.DrawFn) -> Recipe:
    """A recipe that passes all checks, as varied as they allow."""

    def some(**values: st.SearchStrategy[Any]) -> dict[str, Any]:
        return {name: draw(value) for name, value in values.items()}

    part = BatchPart(kind="per-class")
    base = Recipe(name="any", schedule=ScheduleRecipe(epochs=1))
    losses = st.builds(LossRecipe, kind=st.sampled_from(["contrastive", "triplet"]), weight=st.floats(1e-9, 1e9), margin=st.floats(1e-9, 2))  # fmt: skip  # noqa: E501
    parts = st.builds(replace, st.just(part), count=WHOLE.filter(bool), distil=AMOUNT)
    return replace(
        base,
        seed=draw(st.integers(0, 2**32 - 1)),
        data=replace(base.data, **some(root=TEXT, margin=WHOLE, validation=SHARE, corrupt=SHARE)),
        backbone=replace(base.backbone, **some(start=st.just("") | st.just("runs/ä"), unit=st.booleans())),
        batch=tuple(draw(st.lists(parts, min_size=1, max_size=3))),
        loss=tuple(draw(st.lists(losses, min_size=1, max_size=3))),
        optimiser=replace(base.optimiser, **some(learning_rate=st.floats(1e-300, 1e300), clip=AMOUNT)),
        augmentation=draw(anything(AugmentationOptions)),
        export=replace(base.export, **some(licence=TEXT, source=TEXT, mirror=st.booleans())),
    )


class TestWriting:
    @settings(max_examples=60, deadline=None)
    @given(anything(Recipe))
    def test_every_field_of_any_recipe_is_written(self, recipe: Recipe) -> None:
        assert tomllib.loads(write_recipe(recipe)) == json.loads(json.dumps(asdict(recipe)))

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(trainable())
    def test_a_written_recipe_is_read_back_equal(self, write: Write, recipe: Recipe) -> None:
        assert read_recipe(write(write_recipe(recipe))) == recipe

    def test_text_that_would_end_early_does_not(self, write: Write) -> None:
        root = 'a"\n[profile.cpu]\nseed = 3 # \\ \x7f \x1b \u2028'
        recipe = read_recipe(write(BASE), changes=[f'data.root={json.dumps(root)[:-1]}"'])
        assert read_recipe(write(write_recipe(replace(recipe, data=replace(recipe.data, root=root))))).data.root == root

    def test_numbers_are_read_back_to_the_last_bit(self, write: Write) -> None:
        for number in (0.1, 5e-05, 1e16, 5e-324, 1.7976931348623157e308, 2.0):
            recipe = read_recipe(write(BASE), changes=[f"mining.slack={number!r}"])
            assert read_recipe(write(write_recipe(recipe))).mining.slack == number

    def test_a_written_recipe_has_no_profiles(self, write: Write) -> None:
        text = write_recipe(read_recipe(write(PROFILED), "gpu"))
        assert profiles(write(text)) == ()

    def test_names_of_files_that_are_no_text_are_refused(self, write: Write) -> None:
        recipe = read_recipe(write(BASE))
        with pytest.raises(RecipeError, match=r"^data\.root: '\\udcff' is no Unicode text; rename"):
            write_recipe(replace(recipe, data=replace(recipe.data, root="\udcff")))


class TestShippedRecipes:
    @pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
    def test_each_is_sound_bare_and_with_every_profile(self, path: Path) -> None:
        for profile in (None, *profiles(path)):
            assert read_recipe(path, profile).name == path.stem

    def test_the_first_seeds_table_is_kept_exactly(self) -> None:
        recipe = read_recipe(RECIPES / "seed-resnet18.toml")
        assert (recipe.backbone.name, recipe.backbone.dimension, recipe.backbone.unit) == ("resnet18", 1024, False)
        assert recipe.backbone.start == ""
        assert (recipe.data.sources, recipe.data.validation) == (("lfw-dev-train",), 0.0)
        assert (recipe.data.crop, recipe.data.size, recipe.data.margin) == ("whole", 224, 0)
        assert recipe.batch == (BatchPart(sources=("lfw-dev-train",), pairing="given", count=64),)
        assert recipe.loss == (LossRecipe(kind="contrastive", margin=1.0, reduce="pairs"),)
        optimiser = recipe.optimiser
        assert (optimiser.name, optimiser.learning_rate, optimiser.weight_decay) == ("adam", 5e-5, 5e-4)
        assert (optimiser.clip, optimiser.average, optimiser.blend) == (0.0, 0.0, 1.0)
        assert recipe.schedule == ScheduleRecipe(kind="constant", epochs=50)
        assert recipe.augmentation == PLAIN
        assert (recipe.evaluation.threshold, recipe.evaluation.lfw) == (0.5, True)

    def test_the_first_seed_differs_in_length_on_a_cpu_and_in_loading_on_a_gpu(self) -> None:
        path = RECIPES / "seed-resnet18.toml"
        base = read_recipe(path)
        assert read_recipe(path, "cpu") == replace(base, schedule=replace(base.schedule, epochs=2))
        assert read_recipe(path, "gpu") == replace(base, device=replace(base.device, workers=8))

    def test_the_second_seed_is_small_and_parts_by_person(self) -> None:
        recipe = read_recipe(RECIPES / "conv-sgd.toml")
        assert (recipe.data.sources, recipe.data.validation) == (("folder",), 0.2)
        assert (recipe.data.crop, recipe.data.size) == ("whole", 64)
        assert (recipe.backbone.name, recipe.backbone.dimension, recipe.backbone.unit) == ("convolutions", 64, False)
        assert [part.pairing for part in recipe.batch] == ["all"]
        assert (recipe.optimiser.name, recipe.optimiser.momentum) == ("sgd", 0.9)
        assert [(loss.kind, loss.margin) for loss in recipe.loss] == [("contrastive", 1.0)]
        assert (recipe.schedule.epochs, recipe.evaluation.best) == (20, "accuracy")
