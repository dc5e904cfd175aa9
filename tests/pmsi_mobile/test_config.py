import pytest

from pmsi_mobile.config import PRESETS, load_config, parse_assignments, read_config, save_config
from pmsi_mobile.errors import PmsiError


@pytest.mark.parametrize(
    ("preset", "lr_backbone", "lr_new", "schedule", "concat_weight"),
    [("paper", 1e-4, 1e-3, "cosine", 1.0), ("released", 3e-4, 3e-3, "constant", 2.0)],
)
def test_the_published_recipes(preset, lr_backbone, lr_new, schedule, concat_weight):
    config = load_config(preset)
    train = config.train
    assert (train.lr_backbone, train.lr_new, train.schedule) == (lr_backbone, lr_new, schedule)
    assert train.concat_weight == concat_weight
    assert (train.momentum, train.weight_decay, train.batch_size, train.epochs) == (0.9, 5e-4, 32, 150)
    assert (train.frozen_epochs, train.freeze_bn) == (5, False)
    assert (config.preprocessing.resize, config.preprocessing.crop) == (512, 448)
    assert (config.model.heads, config.model.width, config.model.hidden, config.model.stages) == (
        "released",
        640,
        320,
        3,
    )
    assert config.model.weights == "imagenet"


def test_the_mobile_preset_is_small():
    config = load_config("mobile")
    assert config.model.heads == "separable"
    assert config.preprocessing.crop == 224


@pytest.mark.parametrize("preset", PRESETS)
def test_a_saved_configuration_is_read_back_unchanged(preset, tmp_path):
    config = load_config(preset, {"model.width": 64, "train.lr_new": 0.5, "seed": 3})
    save_config(config, tmp_path / "config.yaml")
    assert read_config(tmp_path / "config.yaml") == config


def test_values_are_overridden_by_dotted_keys():
    overrides = parse_assignments(["model.width=320", "train.lr_new=2e-2", "train.freeze_bn=true", "seed=7"])
    config = load_config("paper", overrides)
    assert (config.model.width, config.train.lr_new, config.train.freeze_bn, config.seed) == (320, 0.02, True, 7)


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["model.width"], "key=value"),
        (["model.wdith=3"], "there is no 'model.wdith'"),
        (["nothing.at.all=3"], "there is no 'nothing.at.all'"),
        (["seed.x=3"], "there is no 'seed.x'"),
        (["model.width=odd"], "model.width"),
        (["model.stages=6"], "model.stages"),
        (["train.epochs=0"], "train.epochs"),
        (["preprocessing.crop=100"], "multiple of 32"),
        (["preprocessing.crop=544"], "larger than resize"),
        (["method=other"], "rmg-pmsi"),
        (["model.width=[1"], "not a YAML value"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(assignments, message):
    with pytest.raises(PmsiError, match=message) as error:
        load_config("paper", parse_assignments(assignments))
    assert "\n" not in str(error.value)


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(PmsiError, match="paper, released, mobile"):
        load_config("papers")
