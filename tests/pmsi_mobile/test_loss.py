"""What a phase minimises: smoothed labels, weighted classes, and what teachers say."""

import pytest
import torch
from accelerate import Accelerator
from torch.nn import functional as F

from pmsi_mobile.checkpoint import Checkpoint, Golden, load_checkpoint, save_checkpoint
from pmsi_mobile.commands.train import main as train
from pmsi_mobile.config import load_config
from pmsi_mobile.data.splits import open_data
from pmsi_mobile.data.transforms import normalise
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.methods.objective import Targets
from pmsi_mobile.methods.registry import build_network
from pmsi_mobile.network.mixing import mix
from pmsi_mobile.training.distillation import Teachers
from pmsi_mobile.training.loop import Trainer
from pmsi_mobile.training.loss import Loss, balanced_weights
from tests.conftest import randomise
from tests.pmsi_mobile.runs import SMALL, Silent, call, command, run

CLASSES = ("a", "b", "c")
LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0], [0.0, 0.2, 0.1], [1.0, 1.0, 3.0]])
LABELS = torch.tensor([0, 0, 0, 2])


def train_config(**overrides):
    return load_config("paper", {f"train.{key}": value for key, value in overrides.items()}).train


def teacher_file(path, seed=0, classes=CLASSES, **overrides):
    config = load_config("mobile-rmg", {**SMALL, **{key.replace("__", "."): value for key, value in overrides.items()}})
    torch.manual_seed(seed)
    network = randomise(build_network(config, len(classes)), seed)
    images = torch.zeros(1, 3, config.preprocessing.crop, config.preprocessing.crop, dtype=torch.uint8)
    golden = Golden(images, torch.full((1, len(classes)), 1 / len(classes)))
    save_checkpoint(Checkpoint(config, classes, network.state_dict(), {}, golden, {}), path)
    return path


def test_the_published_recipes_minimise_the_cross_entropy():
    assert torch.equal(Loss(train_config(), LABELS, 3)(LOGITS, Targets(LABELS)), F.cross_entropy(LOGITS, LABELS))


def test_smoothed_labels_have_a_share_for_every_class():
    smoothed = Loss(train_config(label_smoothing=0.3), LABELS, 3)(LOGITS, Targets(LABELS))
    targets = 0.7 * F.one_hot(LABELS, 3) + 0.1
    assert torch.allclose(smoothed, -(targets * LOGITS.log_softmax(1)).sum(1).mean())


def test_balanced_classes_weigh_the_same_however_many_photos_they_have():
    weights = balanced_weights(torch.tensor([0] * 6 + [1] * 3 + [2]), 3)
    assert torch.allclose(weights * torch.tensor([6.0, 3.0, 1.0]), torch.full((3,), 10 / 3))
    loss = Loss(train_config(class_weights="balanced"), LABELS, 3)
    assert torch.allclose(loss(LOGITS, Targets(LABELS)), F.cross_entropy(LOGITS, LABELS, balanced_weights(LABELS, 3)))


def test_the_distillation_loss_is_that_of_hinton():
    soft = torch.tensor([[0.7, 0.2, 0.1]] * 4)
    loss = Loss(train_config(distill_weight=0.25, temperature=4), LABELS, 3)(LOGITS, Targets(LABELS, soft))
    divergence = (soft * (soft.log() - (LOGITS / 4).log_softmax(1))).sum(1).mean()
    assert torch.allclose(loss, 0.75 * F.cross_entropy(LOGITS, LABELS) + 0.25 * 16 * divergence)
    student = (4 * soft.log()).requires_grad_()
    alone = Loss(train_config(distill_weight=1, temperature=4), LABELS, 3)(student, Targets(LABELS, soft))
    assert alone.item() == pytest.approx(0, abs=1e-5)


def test_soft_labels_are_the_mean_of_the_teachers_softened_mix_by_the_names_of_the_classes(tmp_path):
    other = {"mean": (0.2, 0.3, 0.4), "std": (0.5, 0.5, 0.5)}
    one = teacher_file(tmp_path / "one.pt", 1)
    settings = {f"preprocessing__{key}": value for key, value in other.items()}
    two = teacher_file(tmp_path / "two.pt", 2, ("c", "a", "b"), method="baseline", **settings)
    teachers = Teachers([one, two], 3, CLASSES, torch.device("cpu"))
    images = torch.randint(0, 256, (4, 3, 96, 96), dtype=torch.uint8)
    expected = []
    for path, order in ((one, [0, 1, 2]), (two, [1, 2, 0])):
        checkpoint = load_checkpoint(path)
        with torch.no_grad():
            logits = checkpoint.network()(normalise(images, checkpoint.config.preprocessing))
        expected.append((mix(logits, "logits").log() / 3).softmax(1)[:, order])
    assert torch.allclose(teachers.soft_labels(images), torch.stack(expected).mean(0), atol=1e-6)


def test_a_teacher_of_other_classes_is_refused(tmp_path):
    path = teacher_file(tmp_path / "other.pt", classes=("a", "b", "x"))
    with pytest.raises(PmsiError, match=r"other\.pt has other classes.*2 differ, first: c"):
        Teachers([path], 2, CLASSES, torch.device("cpu"))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["rmg-pmsi", "baseline"])
def test_a_student_of_any_method_learns_from_what_the_teacher_gives_for_its_own_crop(
    birds, tmp_path, monkeypatch, method
):
    teacher, _ = run(birds, tmp_path / "teacher", train__epochs=1)
    before = {name: value.clone() for name, value in load_checkpoint(teacher).weights.items()}
    taught = []

    def spy(self, images):
        taught.append(images)
        return soft_labels(self, images)

    soft_labels = Teachers.soft_labels
    monkeypatch.setattr(Teachers, "soft_labels", spy)
    trained = {"method": method, "train__epochs": 1, "train__teacher": [str(teacher)], "train__precise_bn": 0}
    path, listener = run(birds, tmp_path / "student", **trained)
    assert listener.rows[0]["image_passes"] == (1 if method == "baseline" else 4) + 1
    assert [images.dtype for images in taught] == [torch.uint8] * 4
    assert load_checkpoint(path).config.train.teacher == (str(teacher),)
    assert all(torch.equal(value, before[name]) for name, value in load_checkpoint(teacher).weights.items())
    alone, _ = run(birds, tmp_path / "alone", **{**trained, "train__teacher": []})
    weights = load_checkpoint(alone).weights
    assert any(not torch.equal(value, weights[name]) for name, value in load_checkpoint(path).weights.items())


def test_the_teachers_are_the_same_whatever_the_student_does(birds, tmp_path):
    path = teacher_file(tmp_path / "teacher.pt", classes=tuple(sorted(p.name for p in (birds / "train").iterdir())))
    config = load_config("mobile-rmg", {**SMALL, "train.teacher": [str(path)], "train.epochs": 1})
    data = open_data(birds, val_fraction=0.1, test_fraction=0.1, seed=0)
    (tmp_path / "run").mkdir()
    trainer = Trainer(config, data, tmp_path / "run", Accelerator())
    [network] = trainer.teachers.networks
    state = {name: value.clone() for name, value in network.state_dict().items()}
    trainer.fit(Silent())
    assert not network.training
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_a_teacher_that_is_not_there_is_said_at_once(birds, tmp_path, monkeypatch, capsys):
    options = ["--teacher", tmp_path / "gone.pt"]
    assert call(train, monkeypatch, *command(birds, tmp_path / "run")[3:], *options) == 2
    assert f"{tmp_path}/gone.pt does not exist" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
