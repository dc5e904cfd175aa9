"""Faults planted in exports on purpose, each where it would really occur, and what catches it.

python -m tests.export.faults export/FAULTS.md    # plants them all and writes the page
"""

import dataclasses
import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property, lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from unittest import mock
from zipfile import ZipFile

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from pmsi_export.checks.gates import agreement, judge
from pmsi_export.checks.photos import EvaluationPhotos
from pmsi_export.contract.schema import Contract
from pmsi_export.contract.zip_trailer import CONTRACT, LABELS
from pmsi_export.formats.earlier import shortcomings
from pmsi_export.formats.open import load_file, read_contract
from pmsi_export.formats.registry import FORMATS, container, converter
from pmsi_export.graph.fold import fold
from pmsi_export.graph.variant import Variant
from pmsi_export.jobs import exporter
from pmsi_export.jobs.job import Exported, Job
from pmsi_export.runtime.preprocess import load_image, load_resized
from pmsi_export.runtime.reference import reference_runner
from pmsi_export.runtime.runner import Runner
from pmsi_export.weights import int8
from pmsi_mobile.checkpoint import Checkpoint, Golden, load_checkpoint, save_checkpoint
from pmsi_mobile.confidence.temperature import softmax
from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data.images import load_rgb
from pmsi_mobile.data.resizes import Resize
from pmsi_mobile.data.transforms import eval_transform, normalise
from pmsi_mobile.errors import MeasurementError, PmsiError
from pmsi_mobile.files import write_text
from pmsi_mobile.methods.registry import Network, build_network
from pmsi_mobile.methods.rmg_pmsi import PMSINet
from pmsi_mobile.network.mixing import mix
from pmsi_mobile.provenance import versions
from tests.conftest import small_config
from tests.export.conftest import draw_picture

CLASSES = ("bird 1", "bird 10", "bird 11", "bird 2", "bird 3")
NATURAL = ("bird 1", "bird 2", "bird 3", "bird 10", "bird 11")
GOLDEN, PHOTOS = 8, 20
STRIPES = 60
"""Of 255 grey levels."""
MARKS = ("<!-- faults -->\n", "<!-- /faults -->\n")


class Caught(NamedTuple):
    by: str
    message: str


class Fault(NamedTuple):
    name: str
    where: str
    plant: Callable[["Workshop"], Caught | None]


FAULTS: list[Fault] = []


def fault(name: str, where: str) -> Callable[[Callable[["Workshop"], Caught | None]], None]:
    """Enter a fault: a function that plants it, goes the way of an export, and says what caught it, if anything."""

    def enter(plant: Callable[["Workshop"], Caught | None]) -> None:
        FAULTS.append(Fault(name, where, plant))

    return enter


class Workshop:
    """A checkpoint, photos, and exports without a fault, each made once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.checkpoint = train(root / "ckpt.pt", draw_photos(root / "photos"))

    @cached_property
    def loaded(self) -> Checkpoint:
        return load_checkpoint(self.checkpoint)

    @cached_property
    def photos(self) -> EvaluationPhotos:
        """Their labels are what the training network says, so that it makes no mistakes."""
        paths = sorted((self.root / "photos").iterdir())
        runner = reference_runner(self.loaded)
        outputs = [runner.predict(load_image(path, self.loaded.config.preprocessing)) for path in paths]
        reference = np.stack(outputs)
        return EvaluationPhotos(paths, reference.argmax(axis=1).tolist(), reference)

    @property
    def image(self) -> np.ndarray:
        return load_image(self.photos.paths[0], self.loaded.config.preprocessing)

    def prepare(self, paired_sums: bool) -> Path:
        path = Path(tempfile.mkdtemp(dir=self.root)) / "quantised.pt"
        exporter.prepare_int8(self.checkpoint, Variant(), self.photos.paths, path, paired_sums=paired_sums)
        return path

    @cached_property
    def prepared(self) -> Path:
        return self.prepare(paired_sums=False)

    def export(
        self,
        name: str,
        precision: str = "fp32",
        checkpoint: Path | None = None,
        quantised: Path | None = None,
        variant: Variant = Variant(),  # noqa: B008 (frozen)
    ) -> Exported:
        """As `pmsi-export` does it, but in this process."""
        folder = Path(tempfile.mkdtemp(dir=self.root))
        if precision == "int8" and quantised is None:
            quantised = self.prepared
        job = Job(
            checkpoint or self.checkpoint,
            name,
            precision,
            folder,
            "ckpt",
            photos=self.photos,
            quantised=quantised,
            variant=variant,
        )
        return exporter.export(job)

    @lru_cache  # noqa: B019 (one workshop per process)
    def good(self, name: str, precision: str = "fp32") -> Exported:
        """An export without a fault, which passes."""
        exported = self.export(name, precision)
        assert exported.contract.parity.status == "passed", exported.contract.parity
        return exported

    def copy(self, name: str, precision: str = "fp32") -> Path:
        """A good file of its own, to be damaged."""
        path = self.good(name, precision).path
        return Path(shutil.copy(path, Path(tempfile.mkdtemp(dir=self.root)) / path.name))


def draw_photos(folder: Path) -> Path:
    """Drawn photos with fine stripes, one for every pixel that the resize leaves: with antialias they vanish, without
    it every pixel is taken from a dark one."""
    folder.mkdir()
    width, height = 384, 320
    phase = 2 * np.pi * (np.arange(width) + 0.5) * small_config().preprocessing.resize / width
    stripes = STRIPES * np.cos(phase)[None, :, None]
    for number in range(PHOTOS):
        plain = np.asarray(draw_picture(number).resize((width, height)), np.float64)
        Image.fromarray((plain + stripes).clip(0, 255).astype(np.uint8)).save(folder / f"{number:02}.png")
    return folder


def train(path: Path, photos: Path) -> Path:
    """A checkpoint of a small network that knows the photos. Softened, for a fault must show in what it gives."""
    config = small_config()
    images = torch.stack([eval_transform(load_rgb(photo), config.preprocessing) for photo in sorted(photos.iterdir())])
    labels = torch.arange(PHOTOS) % len(CLASSES)
    inputs = normalise(images, config.preprocessing)
    torch.manual_seed(0)
    network = build_network(config, len(CLASSES)).train()
    network.mlp[1].p = 0.0
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.3
    optimiser = torch.optim.SGD(network.parameters(), 0.03, momentum=0.9)
    for _ in range(40):
        chosen = torch.randperm(PHOTOS)[:16]
        optimiser.zero_grad()
        logits = network(inputs[chosen]).flatten(0, 1)
        F.cross_entropy(logits, labels[chosen].repeat_interleave(len(network.head_names))).backward()
        optimiser.step()
    network.eval().requires_grad_(False)
    largest = network(inputs).sum(dim=1).amax(dim=1).mean()
    for classifier in network.classifiers:
        classifier[-1].weight *= 4 / largest
        classifier[-1].bias *= 4 / largest
    golden = Golden(images[:GOLDEN], mix(network(inputs[:GOLDEN]), config.model.mix))
    save_checkpoint(Checkpoint(config, CLASSES, network.state_dict(), {}, golden, {}), path)
    return path


def by_gate(exported: Exported) -> Caught | None:
    parity = exported.contract.parity
    if parity.status != "failed":
        return None
    return Caught(f"{exported.contract.precision} gate", str(parity.reason))


def by_contract(path: Path) -> Caught | None:
    try:
        load_file(path)
    except PmsiError as error:
        return Caught("contract, when the file is opened", str(error).replace(f"{path.parent}/", ""))
    return None


def graph_becomes(change: Callable[[nn.Module], nn.Module]) -> AbstractContextManager[object]:
    """The graph that is handed to convert is another one."""

    class Changed(nn.Module):
        def __init__(self, graph: nn.Module) -> None:
            super().__init__()
            self.graph = change(graph)
            self.mean, self.top_k = graph.mean, None

        def forward(self, image: Tensor) -> Tensor:
            return self.graph(image)

    return mock.patch.object(exporter, "fold", lambda *arguments: Changed(fold(*arguments)).eval())


def folds(
    network: Callable[[Network], Network] = lambda network: network,
    preprocessing: Callable[[Preprocessing], Preprocessing] = lambda preprocessing: preprocessing,
) -> AbstractContextManager[object]:
    """What is folded is another network, or with another normalisation."""

    def changed(given: Network, section: Preprocessing, *rest: object) -> nn.Module:
        return fold(network(given), preprocessing(section), *rest)

    return mock.patch.object(exporter, "fold", changed)


class Before(nn.Module):
    """A function in front of a module."""

    def __init__(self, function: Callable[[Tensor], Tensor], module: nn.Module) -> None:
        super().__init__()
        self.function, self.module = function, module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(self.function(x))


@fault("BGR for RGB", "graph handed to convert: its input's channels in reverse")
def bgr(workshop: Workshop) -> Caught | None:
    with graph_becomes(lambda graph: Before(lambda image: image.flip(1), graph)):
        return by_gate(workshop.export("torchscript"))


@fault("NCHW bytes read as NHWC", "TFLite's converter: the input is reshaped where it should be transposed")
def layout(workshop: Workshop) -> Caught | None:
    def reshaped(module: nn.Module, args: list[int]) -> nn.Module:
        return Before(lambda image: image.reshape(image.shape[0], 3, *image.shape[1:3]), module)

    with mock.patch("litert_torch.to_channel_last_io", reshaped):
        return by_gate(workshop.export("tflite"))


@fault("mean shifted", "normalisation handed to fold: one grey level of 255")
def mean_shifted(workshop: Workshop) -> Caught | None:
    def shifted(section: Preprocessing) -> Preprocessing:
        return section.model_copy(update={"mean": tuple(value + 1 / 255 for value in section.mean)})

    with folds(preprocessing=shifted):
        return by_gate(workshop.export("torchscript"))


@fault("normalisation twice", "graph handed to convert: pixels are normalised in front of it, too")
def normalised_twice(workshop: Workshop) -> Caught | None:
    section = workshop.loaded.config.preprocessing
    with graph_becomes(lambda graph: Before(lambda image: normalise(image, section), graph)):
        return by_gate(workshop.export("torchscript"))


@fault("normalisation missing", "normalisation handed to fold: mean 0, standard deviation 1")
def not_normalised(workshop: Workshop) -> Caught | None:
    plain = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    with folds(preprocessing=lambda section: section.model_copy(update=plain)):
        return by_gate(workshop.export("torchscript"))


@fault("softmax missing", "graph handed to convert: it ends in the logits")
def no_softmax(workshop: Workshop) -> Caught | None:
    class Logits(nn.Module):
        def __init__(self, linear: nn.Module) -> None:
            super().__init__()
            self.linear = linear

        def forward(self, hidden: list[Tensor]) -> Tensor:
            return self.linear(F.elu(torch.cat(hidden, dim=1)))

    def without(graph: nn.Module) -> nn.Module:
        graph.head.mix = Logits(graph.head.mix.linear)
        return graph

    with graph_becomes(without):
        return by_gate(workshop.export("torchscript"))


@fault("softmax doubled", "graph handed to convert: another softmax behind it")
def softmax_doubled(workshop: Workshop) -> Caught | None:
    with graph_becomes(lambda graph: nn.Sequential(graph, nn.Softmax(dim=1))):
        return by_gate(workshop.export("torchscript"))


@fault("unknown score of another thing", "graph handed to convert: the score is taken behind the softmax")
def score_of_probabilities(workshop: Workshop) -> Caught | None:
    class BehindSoftmax(nn.Module):
        def forward(self, logits: Tensor) -> tuple[Tensor, Tensor]:
            probabilities = logits.softmax(dim=1)
            return probabilities, -probabilities.amax(dim=1, keepdim=True)

    def changed(graph: nn.Module) -> nn.Module:
        graph.head.mix.answer = BehindSoftmax()
        return graph

    with graph_becomes(changed):
        return by_gate(workshop.export("torchscript", variant=Variant(unknown_score=True)))


@fault("a head dropped", "network handed to fold: the first stage's classifier adds nothing to the Mix")
def head_dropped(workshop: Workshop) -> Caught | None:
    def dropped(network: Network) -> Network:
        output = network.classifiers[0][-1]
        nn.init.zeros_(output.weight)
        nn.init.zeros_(output.bias)
        return network

    with folds(dropped):
        return by_gate(workshop.export("torchscript"))


@fault("one BatchNorm not folded", "network handed to fold: one in the middle of the backbone is left out")
def norm_left_out(workshop: Workshop) -> Caught | None:
    def without(network: Network) -> Network:
        norms = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
        name, norm = norms[len(norms) // 2]
        network.set_submodule(name, nn.BatchNorm2d(norm.num_features).eval())
        return network

    with folds(without):
        return by_gate(workshop.export("torchscript"))


@fault("weights of another checkpoint", "network handed to fold: the same architecture, another run")
def other_weights(workshop: Workshop) -> Caught | None:
    def other(network: Network) -> Network:
        torch.manual_seed(1)
        return PMSINet(workshop.loaded.config.model, len(CLASSES)).eval()

    with folds(other):
        return by_gate(workshop.export("torchscript"))


@fault("labels sorted naturally", "the contract that is written: `bird 2` before `bird 10`")
def labels_in_contract(workshop: Workshop) -> Caught | None:
    describe = exporter.describe

    def natural(*arguments: object) -> Contract:
        return describe(*arguments).model_copy(update={"classes": NATURAL})

    with mock.patch.object(exporter, "describe", natural):
        try:
            workshop.export("torchscript")
        except MeasurementError as error:
            return Caught("export, which reads the contract back", str(error))
    return None


@fault("labels sorted naturally", "the finished .tflite: its labels.txt is replaced by a sorted one")
def labels_in_file(workshop: Workshop) -> Caught | None:
    path = workshop.copy("tflite")
    with ZipFile(path) as archive:
        content = path.read_bytes()[: archive.getinfo(LABELS).header_offset]
        contract = archive.read(CONTRACT)
    path.write_bytes(content)
    with ZipFile(path, "a") as archive:
        archive.writestr(LABELS, "".join(f"{name}\n" for name in NATURAL))
        archive.writestr(CONTRACT, contract)
    return by_contract(path)


@fault("bilinear without antialias", "the photos that the file is compared on, not those of the training network")
def photos_resized_plainly(workshop: Workshop) -> Caught | None:
    def plain(path: Path, section: Preprocessing) -> dict[Resize, np.ndarray]:
        resized = load_resized(path, section)
        return resized | {"antialias": resized["bilinear"]}

    with mock.patch.object(exporter, "load_resized", plain):
        return by_gate(workshop.export("torchscript"))


@fault("bilinear without antialias", "the checkpoint's golden samples, stored with the right probabilities")
def golden_resized_plainly(workshop: Workshop) -> Caught | None:
    section = workshop.loaded.config.preprocessing
    paths = workshop.photos.paths[:GOLDEN]
    images = torch.stack([eval_transform(load_rgb(path), section, "bilinear") for path in paths])
    golden = Golden(images, workshop.loaded.golden.probabilities)
    checkpoint = workshop.root / "plain.pt"
    save_checkpoint(dataclasses.replace(workshop.loaded, golden=golden), checkpoint)
    return by_gate(workshop.export("torchscript", checkpoint=checkpoint))


@fault("bilinear without antialias", "the client: no file can see it")
def client_resizes_plainly(workshop: Workshop) -> Caught | None:
    contract = workshop.good("torchscript").contract
    resizes = contract.resizes
    if (
        resizes is None
        or "antialias" not in contract.preprocessing.resize_rule
        or resizes.antialias == resizes.bilinear
    ):
        return None
    return Caught(
        "nothing; the contract states the rule and what this one costs",
        f"resizes: antialias {resizes.antialias:.1%}, bilinear {resizes.bilinear:.1%} top-1 on {resizes.photos} photos",
    )


def tflite_becomes(workshop: Workshop, change: Callable[[SimpleNamespace], None]) -> AbstractContextManager[object]:
    """TFLite's converter writes its int8 file with a change."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    with ZipFile(workshop.good("tflite", "int8").path) as archive:
        start = archive.getinfo(LABELS).header_offset
    written = workshop.good("tflite", "int8").path.read_bytes()[:start]

    def convert(graph: nn.Module, contract: Contract, path: Path, calibration: np.ndarray) -> None:
        model = flatbuffer_utils.read_model_from_bytearray(bytearray(written))
        change(SimpleNamespace(model=model, graph=model.subgraphs[0], schema=schema))
        path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))

    return mock.patch.object(converter(FORMATS["tflite"]), "convert", convert)


def double_scale(file: SimpleNamespace, tensor: int) -> None:
    quantisation = file.graph.tensors[tensor].quantization
    quantisation.scale = 2 * np.asarray(quantisation.scale, np.float32)


@fault("an int8 weight scale off by two", "TFLite's converter: the first convolution of the file it writes")
def weight_scale(workshop: Workshop) -> Caught | None:
    def double(file: SimpleNamespace) -> None:
        codes = [code.builtinCode for code in file.model.operatorCodes]
        convolution = file.schema.BuiltinOperator.CONV_2D
        first = next(each for each in file.graph.operators if codes[each.opcodeIndex] == convolution)
        double_scale(file, first.inputs[1])

    with tflite_becomes(workshop, double):
        return by_gate(workshop.export("tflite", "int8"))


@fault("an int8 activation scale off by two", "TFLite's converter: the input, whose bytes then stand for 0..510")
def activation_scale(workshop: Workshop) -> Caught | None:
    with tflite_becomes(workshop, lambda file: double_scale(file, file.graph.inputs[0])):
        return by_gate(workshop.export("tflite", "int8"))


@fault("a flipped byte", "the finished .tflite: one bit in the middle")
def flipped_byte(workshop: Workshop) -> Caught | None:
    path = workshop.copy("tflite")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return by_contract(path)


@fault("a truncated file", "the finished .ptl: the last 1000 bytes are missing")
def truncated(workshop: Workshop) -> Caught | None:
    path = workshop.copy("torchscript")
    path.write_bytes(path.read_bytes()[:-1000])
    return by_contract(path)


@fault("int8 weights whose sums overflow on x86 without VNNI", "the rounding: neighbours in the .onnx may be anything")
def overflowing_pairs(workshop: Workshop) -> Caught | None:
    with mock.patch.object(int8, "pairs", return_value=[]):
        prepared = workshop.prepare(paired_sums=True)
    return by_gate(workshop.export("onnx", "int8", quantised=prepared))


@fault("metadata of another file", "the finished .tflite: the int8 file's contract is in the fp32 file")
def other_metadata(workshop: Workshop) -> Caught | None:
    path, module = workshop.copy("tflite"), container(FORMATS["tflite"])
    with ZipFile(path) as archive:
        content = path.read_bytes()[: archive.getinfo(LABELS).header_offset]
    path.write_bytes(content)
    module.embed(path, module.extract(workshop.good("tflite", "int8").path).text)
    return by_contract(path)


def rewritten(workshop: Workshop, name: str, change: Callable[[str], str]) -> Path:
    """A good file whose contract, and labels with it, were written anew as any zip tool can."""
    path, module = workshop.copy(name), container(FORMATS[name])
    text = module.extract(path).text
    with ZipFile(path) as archive:
        content = path.read_bytes()[: archive.infolist()[-2].header_offset]
    path.write_bytes(content)
    module.embed(path, change(text))
    return path


@fault("another resize in the contract", "the finished .ptl: pmsi.json, written anew with any zip tool")
def edited_contract(workshop: Workshop) -> Caught | None:
    return by_contract(rewritten(workshop, "torchscript", lambda text: re.sub('("resize": ?)', r"\g<1>1", text)))


@fault("two class names swapped", "the finished .tflite: pmsi.json and labels.txt, both written anew")
def swapped_classes(workshop: Workshop) -> Caught | None:
    names = {'"bird 1"': '"bird 2"', '"bird 2"': '"bird 1"'}

    def swap(text: str) -> str:
        return re.sub("|".join(names), lambda found: names[found[0]], text)

    return by_contract(rewritten(workshop, "tflite", swap))


@fault("a verdict that was not measured", "the finished .tflite: pmsi.json says another largest difference")
def better_verdict(workshop: Workshop) -> Caught | None:
    def better(text: str) -> str:
        return re.sub(r'("max_abs_difference": ?)[\d.e-]+', r"\g<1>0.0", text)

    return by_contract(rewritten(workshop, "tflite", better))


@fault("a second digest", "the finished .tflite: pmsi.json with contract_sha256 twice, of which readers take either")
def second_digest(workshop: Workshop) -> Caught | None:
    def twice(text: str) -> str:
        return re.sub('("contract_sha256": ?"[0-9a-f]{64}")', r"\g<1>, \g<1>", text)

    return by_contract(rewritten(workshop, "tflite", twice))


@fault("a digest that nobody finds", "the finished .tflite: contract_sha256 in capitals, the resize another one")
def hidden_digest(workshop: Workshop) -> Caught | None:
    def hide(text: str) -> str:
        edited = re.sub('("resize": ?)', r"\g<1>1", text)
        return re.sub('(?<="contract_sha256": ")[0-9a-f]{64}', lambda found: found[0].upper(), edited)

    return by_contract(rewritten(workshop, "tflite", hide))


@fault("the digest taken out", "the finished .tflite: pmsi.json without contract_sha256, as 0.1.0 wrote it")
def no_digest(workshop: Workshop) -> Caught | None:
    def old(text: str) -> str:
        return re.sub(r',\s*"contract_sha256": ?"[0-9a-f]{64}"', "", text)

    path = rewritten(workshop, "tflite", old)
    told = [*shortcomings(path, read_contract(path))]
    return Caught("nothing; pmsi-predict and --info say that it is unprotected", told[0]) if told else None


@fault(
    "a contract at odds with its own file",
    "the finished .tflite: one class more than outputs, sealed anew",
)
def one_class_more(workshop: Workshop) -> Caught | None:
    def more(text: str) -> str:
        return seal_again(text.replace('"bird 1",', '"bird 0", "bird 1",', 1))

    return by_contract(rewritten(workshop, "tflite", more))


@fault("a file under another format's name", "the finished .tflite, renamed .pte")
def renamed(workshop: Workshop) -> Caught | None:
    path = workshop.copy("tflite")
    return by_contract(path.rename(path.with_suffix(".pte")))


def seal_again(text: str) -> str:
    """A contract's text with the digest that it would have: whoever can write one can compute it."""
    empty = re.sub('(?<="contract_sha256": ")[0-9a-f]{64}', "", text)
    digest = hashlib.sha256(empty.encode()).hexdigest()
    return empty.replace('"contract_sha256": ""', f'"contract_sha256": "{digest}"')


@fault("a weight that is not a number", "the checkpoint: one bias of a training that diverged")
def diverged(workshop: Workshop) -> Caught | None:
    path = Path(tempfile.mkdtemp(dir=workshop.root)) / "ckpt.pt"
    loaded = load_checkpoint(workshop.checkpoint)
    next(weight for name, weight in loaded.weights.items() if name.endswith("bias"))[0] = float("nan")
    save_checkpoint(loaded, path)
    try:
        workshop.export("onnx", checkpoint=path)
    except PmsiError as error:
        return Caught("checkpoint, when it is loaded", str(error).replace(f"{path.parent}/", ""))
    return None


@fault("photos of blank walls", "the photos that an int8 file is judged by, whose golden samples are 2 dB")
def blank_walls(workshop: Workshop) -> Caught | None:
    exported = workshop.good("tflite", "int8").contract.parity
    assert exported.golden
    assert exported.photos
    poor = exported.golden.model_copy(update={"sqnr_db": 2.0, "confident_agreement": 0.75})
    walls = exported.photos.model_copy(update={"confident_images": 0, "confident_agreement": None})
    judged = judge("int8", poor, walls)
    return Caught("int8 gate", str(judged.reason)) if judged.status == "failed" else None


@fault("a temperature that is lost", "the rounding for int8: 300 photos whose logits it makes a quarter larger")
def lost_temperature(workshop: Workshop) -> Caught | None:
    """The classes are right, and what it says of them is near enough for the other bounds."""
    random = np.random.default_rng(0)
    logits = 2 * random.normal(size=(300, len(CLASSES)))
    reference = softmax(logits)
    labels = [int(random.choice(len(CLASSES), p=row)) for row in reference]
    sharp = iter(softmax(1.25 * logits).astype(np.float32))
    runner = Runner(prepare=lambda image: image, run=lambda image: next(sharp))
    blank = [np.zeros((1, 1, 3), np.uint8)] * len(labels)
    golden = workshop.good("tflite", "int8").contract.parity.golden
    assert golden
    judged = judge("int8", golden, agreement(runner, blank, reference.astype(np.float32), labels))
    return Caught("int8 gate", str(judged.reason)) if judged.status == "failed" else None


def table(workshop: Workshop) -> str:
    """All faults and what caught each, in Markdown. Raises ValueError for one that nothing caught."""
    lines = ["| fault | where it was planted | what caught it | what that said |", "|---|---|---|---|"]
    for each in FAULTS:
        caught = each.plant(workshop)
        if caught is None:
            raise ValueError(f"nothing caught {each.name} ({each.where})")
        lines.append(f"| {each.name} | {each.where} | {caught.by} | {caught.message} |")
    tools = versions("torch", "ai-edge-litert", "litert-torch", "ai-edge-quantizer")
    made = ", ".join(f"{name} {version}" for name, version in tools.items())
    return "\n".join([*lines, "", f"Made with {made}."]) + "\n"


def rows(page: str) -> list[tuple[str, str, str]]:
    """Fault, place and what caught it of every row of the page."""
    text = page.partition(MARKS[0])[2].partition(MARKS[1])[0]
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [(name, where, by) for name, where, by, _ in cells[1:]]


if __name__ == "__main__":
    torch.set_num_threads(1)
    page = Path(sys.argv[1])
    before, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    with tempfile.TemporaryDirectory() as scratch:
        made = table(Workshop(Path(scratch)))
    write_text(page, f"{before}{MARKS[0]}{made}{MARKS[1]}{after}")
