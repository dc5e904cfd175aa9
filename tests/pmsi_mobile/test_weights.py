"""Initial weights as people have them."""

import argparse
import zipfile

import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file
from torchvision.models import mobilenet_v2, resnet18

from pmsi_mobile.commands.train import main as train
from pmsi_mobile.config import parse_config
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.methods.registry import build_network
from pmsi_mobile.network import weights as initial
from pmsi_mobile.network.backbones import build_backbone
from tests.conftest import make_checkpoint, small_config
from tests.pmsi_mobile.runs import call

# Of all the ways in which timm's feature extractors name layers: flattened, wrapped, with parts of the head kept.
TIMM = [
    "convnext_atto",
    "repvgg_a0",
    "mobileone_s0",
    "fastvit_t8",
    "ghostnet_100",
    "ghostnetv2_100",
    "mobilenetv3_small_050",
    "mobilenetv4_conv_small",
    "efficientnet_lite0",
    "resnet10t",
    "regnetx_002",
    "edgenext_xx_small",
    "tinynet_e",
    "lcnet_050",
    "dla46_c",
    "efficientvit_b0",
    "repghostnet_050",
    "starnet_s1",
    "mobilevit_xxs",
    "poolformer_s12",
    "repvit_m0_9",
    "hardcorenas_a",
    "fbnetc_100",
]


@pytest.fixture(scope="module")
def mobilenet():
    torch.manual_seed(1)
    return mobilenet_v2().state_dict()


def first_and_last(backbone):
    return backbone.stages[0][0][0].weight, backbone.stages[4][4][1].running_var


@pytest.mark.parametrize("name", TIMM)
def test_timms_own_state_dict_gives_the_features_of_timms_own_model(name, tmp_path):
    torch.manual_seed(1)
    full = timm.create_model(name).state_dict()
    torch.save(full, tmp_path / "full.pth")
    torch.manual_seed(2)
    backbone = build_backbone(name, 3, str(tmp_path / "full.pth")).eval()
    source = {"state_dict": full, "num_classes": 1000}
    expected = timm.create_model(name, features_only=True, pretrained=True, pretrained_cfg_overlay=source).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for ours, theirs in zip(backbone(images), expected(images)[-3:], strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3, "args": argparse.Namespace(lr=0.1)},
        lambda state: {"model": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {"model": {"net": {f"_orig_mod.{key}": value for key, value in state.items()}}},
        lambda state: {f"model.backbone.{key}": value for key, value in state.items()},
        lambda state: {key: value for key, value in state.items() if not key.startswith("classifier")},
        lambda state: {key: value.half() for key, value in state.items() if "num_batches" not in key},
    ],
)
def test_prefixes_and_wrappers_are_seen_through(mobilenet, wrap, tmp_path):
    torch.save(wrap(mobilenet), tmp_path / "weights.pth")
    first, last = first_and_last(build_backbone("mobilenet_v2", 3, str(tmp_path / "weights.pth")))
    assert torch.allclose(first, mobilenet["features.0.0.weight"], atol=1e-3)
    assert torch.allclose(last, mobilenet["features.18.1.running_var"], atol=1e-3)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state, average: {"state_dict": state, "state_dict_ema": average},
        lambda state, average: {"model_ema": average, "model": state},
        lambda state, average: (
            {f"model.{k}": v for k, v in state.items()} | {f"ema.{k}": v for k, v in average.items()}
        ),
    ],
)
def test_averaged_weights_are_preferred(mobilenet, wrap, tmp_path):
    average = {key: value + 1 for key, value in mobilenet.items()}
    torch.save(wrap(mobilenet, average), tmp_path / "weights.pth")
    first, _ = first_and_last(build_backbone("mobilenet_v2", 3, str(tmp_path / "weights.pth")))
    assert torch.equal(first, average["features.0.0.weight"])


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "resnet18", "convnext_atto", "ghostnet_100"])
@pytest.mark.parametrize("method", ["rmg-pmsi", "baseline"])
def test_the_backbone_of_our_own_checkpoint(backbone, method, tmp_path):
    config = small_config(model__backbone=backbone, method=method)
    path = make_checkpoint(tmp_path / "ckpt.pt", config, ("a", "b"), torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    saved = torch.load(path, weights_only=True)["weights"]
    torch.manual_seed(9)
    state = build_network(small_config(model__backbone=backbone, model__weights=str(path)), 5).state_dict()
    names = [name for name in saved if name.startswith("backbone.")]
    assert len(names) > 20
    for name in names:
        assert torch.equal(state[name], saved[name]), name


def test_a_safetensors_file_is_read_under_any_name(mobilenet, tmp_path):
    save_file(mobilenet, tmp_path / "pytorch_model.bin")
    first, _ = first_and_last(build_backbone("mobilenet_v2", 3, str(tmp_path / "pytorch_model.bin")))
    assert torch.equal(first, mobilenet["features.0.0.weight"])


@pytest.mark.parametrize("name", ["timm/resnet18.a1_in1k", "hf-hub:timm/resnet18.a1_in1k"])
def test_names_of_the_hub_are_weights_and_timms_own_are_backbones_too(name, monkeypatch):
    torch.manual_seed(3)
    state = resnet18().state_dict()
    asked = []
    monkeypatch.setattr("timm.models.load_state_dict_from_hf", lambda model, **_: asked.append(model) or state)
    assert torch.equal(build_backbone("resnet18", 3, name).stages[0][0].weight, state["conv1.weight"])
    assert asked == ["timm/resnet18.a1_in1k"]
    assert build_backbone(name.replace("resnet18.a1_in1k", "lcnet_050"), 3, "none").channels == (64, 128, 256)
    with pytest.raises(PmsiError, match="pass them as --weights"):
        build_backbone("hf-hub:someone/birds", 3, "none")


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch):
    def fetch(*_, **__):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("timm.models.load_state_dict_from_hf", fetch)
    with pytest.raises(PmsiError, match=r"^weights someone/x could not be fetched \(no route\)") as error:
        initial.read_weights("hf-hub:someone/x")
    assert "\n" not in str(error.value)


class Thing:
    """An object of a class of its own, as whole models in pickles are."""


def of_a_later_zip(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"")
        file.filelist[0].extract_version = 99


def archive(**members):
    def write(path):
        with zipfile.ZipFile(path, "w") as file:
            for name, text in members.items():
                file.writestr(name, text)

    return write


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page"),
        (b"\n  <html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b'{"error": "not found"}', "is a text file"),
        ("Zugriff verweigert: ä".encode(), "is a text file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "is of another kind"),
        (b"PK\x03\x04" + bytes(64), "cut off or corrupt"),
        (b"\x80\x02}q\x00(X", "cut off or corrupt"),
        (b"\x10\0\0\0\0\0\0\0{cut off", "cut off or corrupt"),
        (of_a_later_zip, "cut off or corrupt"),
        (archive(photos="x"), "zip archive without tensors of PyTorch, it holds photos"),
        (lambda path: torch.save(Thing(), path), "holds Python objects besides tensors"),
        (lambda path: torch.save(Thing(), path, _use_new_zipfile_serialization=False), "holds Python objects"),
        (lambda path: torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), path), "is a TorchScript program"),
        (lambda path: torch.save([1, 2], path), "holds no tensors under names"),
        (lambda path: torch.save({"features.0.0.weight": torch.zeros(1)}, path), "does not fit the backbone"),
        (lambda path: path.mkdir(), "is a folder"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_what_is_no_weights_file_gets_a_plain_sentence(write, message, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(write) if isinstance(write, bytes) else write(path)
    with pytest.raises(PmsiError, match=message) as error:
        build_backbone("mobilenet_v2", 3, str(path))
    for advice in ("\n", "weights_only", "safe_globals"):
        assert advice not in str(error.value)


def test_weights_that_are_not_finite_are_refused(mobilenet, tmp_path):
    name = "features.3.conv.0.0.weight"
    broken = {**mobilenet, name: torch.full_like(mobilenet[name], torch.nan)}
    torch.save(broken, tmp_path / "weights.pth")
    with pytest.raises(PmsiError, match="not finite"):
        build_backbone("mobilenet_v2", 3, str(tmp_path / "weights.pth"))


@pytest.mark.parametrize("overrides", [{}, {"model__heads": "released"}, {"method": "baseline"}])
@pytest.mark.parametrize("classes", [2, 7])
def test_fine_tuning_starts_from_all_but_the_last_layers(overrides, classes, tmp_path):
    config = small_config(**overrides)
    path = make_checkpoint(tmp_path / "ckpt.pt", config, ("a", "b"), torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    saved = torch.load(path, weights_only=True)["weights"]
    torch.manual_seed(9)
    state = build_network(small_config(**overrides, model__start_from=str(path)), classes).state_dict()
    fresh = {name for name, value in saved.items() if not torch.equal(state[name], value)}
    last = {"classifier.1"} if config.method == "baseline" else {f"classifiers.{head}.4" for head in range(4)}
    assert fresh == {f"{layer}.{part}" for layer in last for part in ("weight", "bias")}


def test_fine_tuning_of_another_network_is_refused(mobilenet, tmp_path):
    config, images = small_config(), torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    path = make_checkpoint(tmp_path / "ckpt.pt", config, ("a", "b"), images)
    with pytest.raises(PmsiError, match="is of another network: "):
        build_network(small_config(model__start_from=str(path), model__width=16), 3)
    torch.save(mobilenet, tmp_path / "other.pt")
    with pytest.raises(PmsiError, match="is not a pmsi-mobile checkpoint"):
        build_network(small_config(model__start_from=str(tmp_path / "other.pt")), 3)


def test_from_takes_network_and_size_of_the_checkpoint(monkeypatch, capsys, tmp_path):
    config = small_config(model__width=48, train__epochs=9, seed=4)
    path = make_checkpoint(tmp_path / "ckpt.pt", config, ("a", "b"), torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert call(train, monkeypatch, "--print-config", "--from", path, "--epochs", 3) == 0
    started = parse_config(yaml.safe_load(capsys.readouterr().out))
    assert started.model == config.model.model_copy(update={"start_from": str(path)})
    assert started.preprocessing == config.preprocessing
    assert (started.train.epochs, started.train.batch_size, started.seed) == (3, 32, 0)
