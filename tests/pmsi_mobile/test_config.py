from itertools import pairwise

import pytest
import yaml

from pmsi_mobile.commands.train import main as train
from pmsi_mobile.config import PRESETS, flatten, load_config, parse_assignments, read_config, save_config
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.training.run_folder import resolve
from tests.pmsi_mobile.runs import call


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


def test_the_presets_for_a_phone_are_small():
    config = load_config("mobile-rmg")
    assert config.model.heads == "separable"
    assert config.preprocessing.crop == load_config("mobile").preprocessing.crop == 224


@pytest.mark.parametrize(("preset", "method"), [("mobile", "hbp"), ("mobile-plain", "baseline")])
def test_the_presets_of_one_phase_train_as_long_as_ten_epochs_of_four(preset, method):
    config = load_config(preset)
    assert (config.method, config.train.epochs, config.train.label_smoothing) == (method, 40, 0.1)


@pytest.mark.parametrize(
    ("method", "preset"),
    [("hbp", "mobile"), ("baseline", "mobile-plain"), ("rmg-pmsi", "mobile-rmg"), ("pmg", "mobile-rmg")],
)
def test_the_preset_where_none_is_named_goes_by_the_method(method, preset):
    assert load_config(None, {"method": method}) == load_config(preset, {"method": method})
    assert load_config(None) == load_config("mobile")


@pytest.mark.parametrize(
    ("backbone", "method"),
    [("mobilenet_v2", "hbp"), ("resnet34", "baseline"), ("efficientnet_lite0", "baseline")],
)
def test_without_a_method_a_backbone_gets_one_that_can_take_it(backbone, method):
    assert load_config(None, {"model.backbone": backbone}).method == method


def test_hbps_learning_rates_are_not_taken_for_another_method():
    with pytest.raises(PmsiError, match="with method baseline take --preset mobile-plain"):
        load_config("mobile", {"method": "baseline"})


def test_what_only_heads_have_is_said_to_have_no_effect_on_a_method_without_them(tmp_path):
    overrides = {"model.width": 64, "mosaic.max_recursion": 2, "model.backbone": "resnet18", "model.stages": 3}
    [note] = resolve(None, overrides, tmp_path, resume=False)[1]
    assert note.startswith("model.width, mosaic.max_recursion: no effect")
    assert resolve(None, {**overrides, "method": "rmg-pmsi"}, tmp_path, resume=False)[1] == []


def test_what_only_hbp_has_is_said_to_have_no_effect_on_other_methods(tmp_path):
    overrides = {"model.projection": 64, "model.width": 64}
    assert resolve(None, {"model.projection": 64}, tmp_path, resume=False)[1] == []
    [note] = resolve(None, {**overrides, "method": "rmg-pmsi"}, tmp_path, resume=False)[1]
    assert note == "model.projection: no effect on rmg-pmsi; --method hbp has products of blocks"
    heads, products = resolve(None, {**overrides, "method": "baseline"}, tmp_path, resume=False)[1]
    assert heads.startswith("model.width: no effect on baseline; --method rmg-pmsi")
    assert products.startswith("model.projection: no effect on baseline")


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
    with pytest.raises(PmsiError, match="mobile, mobile-plain, mobile-rmg, paper, released"):
        load_config("papers")


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("train.epoch", "train.epochs"),
        ("epochs", "train.epochs"),
        ("model.lr_new", "train.lr_new"),
        ("wdith", "model.width"),
        ("sed", "seed"),
        ("preprocess.crop", "preprocessing.crop"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(key, nearest):
    with pytest.raises(PmsiError, match=rf"there is no '{key}' \(did you mean {nearest}\?"):
        load_config("mobile", {key: 3})


def test_a_key_like_none_is_answered_with_how_to_list_them():
    with pytest.raises(PmsiError, match=r"'zzz' \(pmsi-train --print-config lists all keys\)"):
        load_config("mobile", {"zzz": 3})


def test_a_printed_configuration_is_read_again(monkeypatch, capsys, tmp_path):
    assert call(train, monkeypatch, "--print-config", "--preset", "paper", "--set", "model.width=64") == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed) == load_config("paper", {"model.width": 64}).model_dump(mode="json")
    for key in flatten(load_config("paper")):
        assert f"{key.rpartition('.')[2]}: " in printed
    assert "# Upper bound of r; 0 trains every phase on the original image." in printed
    assert "One of released, separable, lean." in printed
    (tmp_path / "mine.yaml").write_text(printed)
    assert call(train, monkeypatch, "--print-config", "--config", tmp_path / "mine.yaml") == 0
    assert capsys.readouterr().out == printed


def test_a_file_of_some_values_goes_before_the_preset_and_after_options(monkeypatch, capsys, tmp_path):
    (tmp_path / "mine.yaml").write_text("seed: 3\ntrain: {epochs: 7, batch_size: 4}\n")
    assert call(train, monkeypatch, "--print-config", "--config", tmp_path / "mine.yaml", "--epochs", 9) == 0
    expected = load_config("mobile", {"seed": 3, "train.epochs": 9, "train.batch_size": 4})
    assert yaml.safe_load(capsys.readouterr().out) == expected.model_dump(mode="json")


@pytest.mark.parametrize(
    ("text", "message"),
    [("train: {epoch: 3}", "did you mean train.epochs"), ("[1", "cannot be read"), ("hello", "not a configuration")],
)
def test_a_wrong_configuration_file_is_one_line(text, message, monkeypatch, capsys, tmp_path):
    (tmp_path / "mine.yaml").write_text(text)
    assert call(train, monkeypatch, "--print-config", "--config", tmp_path / "mine.yaml") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_file_that_grows_when_it_is_read_is_one_short_line(tmp_path):
    """Ten references to ten references, eight deep: 700 bytes of YAML, gigabytes as text."""
    path = tmp_path / "config.yaml"
    lists = ["&a [x]"] + [f"&{name} [{', '.join(['*' + before] * 10)}]" for before, name in pairwise("abcdefghi")]
    path.write_text(f"train: {{epochs: [{', '.join(lists)}]}}\n")
    with pytest.raises(PmsiError, match=r"train\.epochs") as error:
        read_config(path)
    assert len(str(error.value)) < 500


def test_a_file_nested_a_thousand_times_is_one_line(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("train: " + "[" * 2_000)
    with pytest.raises(PmsiError, match="too many parts inside each other"):
        read_config(path)
