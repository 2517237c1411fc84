"""Pieces by every method, and students: what they are taught, what they may see, and how they are chosen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score
from torch import nn

from hidden_structure.distillation import students
from hidden_structure.distillation.distiller import Config, Distiller, choose, train_teacher
from hidden_structure.distillation.lelp import assign, lelp, merge_logits, whole
from hidden_structure.distillation.methods import METHODS, Choice, Embeddings, Method, candidates, splitter
from hidden_structure.distillation.steps import pairs, tuning_students
from hidden_structure.distillation.students import (
    Task,
    accuracy,
    augmented_accuracy,
    fixed_targets,
    forward_all,
    hint_loss,
    online_targets,
)
from hidden_structure.frame import params
from hidden_structure.frame.distilling import Lelp
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.values import DISTILLATIONS
from hidden_structure.networks.features import head
from hidden_structure.seeding import numpy_generator, torch_generator
from hidden_structure.training import loop, resume
from hidden_structure.training.batches import on_device

CPU = torch.device("cpu")
CLASSES, FINE, SAMPLES = 2, 4, 160
CHOICE = Choice(2, 0.5, 0.1, 4.0, 1.0, 0.3)
STEPS = Lelp(null_space=True, pca=True, rotate=True, standardise=True)
SPLITTING = tuple(name for name in DISTILLATIONS if name not in ("alone", "labels", "kd", "fitnet", "subclass"))
ORACLES = ("oracle", "oracle-soft")


def settings(**distill) -> params.Study:
    plan = {"methods": list(DISTILLATIONS), "augmented": False}
    train = {"epochs": 3, "batch_size": 40, "crop": 0, "flip": False}
    return params.Study.model_validate(
        tiny.study(distill=plan | distill, train=train, network={"width": 8, "depth": 1, "norm": "none"})
    )


def make_task(seed: int = 0) -> tuple[Task, torch.Tensor]:
    """Images of four classes with different means, merged by parity; and the labels before that."""
    draw = np.random.default_rng(seed)
    fine = draw.permutation(np.arange(SAMPLES) % FINE)
    means = np.random.default_rng(9).integers(60, 190, (FINE, 4, 4, 1))
    pixels = (means[fine] + draw.normal(0, 20, (SAMPLES, 4, 4, 1))).clip(0, 255).astype(np.uint8)
    images = on_device(pixels, np.full(1, 0.5), np.full(1, 0.25), CPU)
    return Task(images, torch.from_numpy(fine % CLASSES), CLASSES, torch.float32), torch.from_numpy(fine)


def make_config(folder: Path, **distill) -> Config:
    plan, (task, fine) = settings(**distill), make_task()
    own = plan.distill.network, plan.distill.train
    return Config(plan.distill, *own, plan.network, plan.train, 0, plan.cluster, (4, 4, 1), task, fine, folder)


def distiller_of(config: Config) -> Distiller:
    return Distiller(config, train_teacher(config))


@pytest.fixture
def distiller(tmp_path) -> Distiller:
    return distiller_of(make_config(tmp_path))


def taught(distiller: Distiller, method: str, file: Path, seed: int = 0, choice: Choice = CHOICE) -> nn.Module:
    return distiller.student(method, choice, seed, distiller.config.recipe, file)


def same(left: nn.Module, right: nn.Module) -> bool:
    pairs = zip(left.state_dict().items(), right.state_dict().items(), strict=True)
    return all(name == other and torch.equal(a, b) for (name, a), (other, b) in pairs)


# --- pieces ---


def planted(per_piece: int = 30) -> Embeddings:
    """Two classes of two clusters each, along directions that the output weights do not read."""
    fine = torch.arange(FINE * per_piece) % FINE
    labels, piece = fine % CLASSES, fine // CLASSES
    values = 0.3 * torch.randn(len(fine), 6, generator=torch_generator("planted"))
    values[:, 0] += 4.0 * labels
    values[torch.arange(len(fine)), 2 + labels] += 6.0 * piece
    weight = torch.eye(6)[:CLASSES]
    return Embeddings(values, labels, weight, fine + 5, settings().cluster)


def likeliest(method: str, embeddings: Embeddings, choice: Choice = CHOICE) -> torch.Tensor:
    every = torch.arange(len(embeddings.labels))
    return splitter(method, choice, embeddings, STEPS)(embeddings.values, every)[every, embeddings.labels].argmax(1)


def test_the_table_has_the_methods_that_params_allow():
    assert list(METHODS) == list(DISTILLATIONS)


def test_a_further_method_is_a_row_of_the_table(tmp_path, monkeypatch):
    """It splits classes by the length of embeddings, has a temperature to be chosen, and FitNet's hint or not."""

    def by_size(embeddings, choice, steps):
        sizes = embeddings.values.norm(dim=1)
        return assign(embeddings.labels, (sizes > sizes.median()).long(), embeddings.classes)

    further = Method("by size", "nobody", ("temperature",), by_size, hint=True)
    monkeypatch.setitem(METHODS, "size", further)
    distiller = distiller_of(make_config(tmp_path, temperatures=[1.0, 4.0]))
    settings = distiller.config.settings.model_copy(update={"methods": ["size"]})
    ((choice, tried),) = choose(settings, attempts_of(distiller.config)).values()
    assert [each.temperature for each in tried] == [1.0, 4.0]
    assert choice.of("size") == dict.fromkeys(vars(choice)) | {"temperature": choice.temperature}
    student = taught(distiller, "size", tmp_path / "hint.safetensors", choice=choice)
    row, tensors = distiller.evaluate(student, "size", choice, {"train": distiller.config.task})
    assert row["outputs"] == CLASSES * 2
    assert row["train_accuracy"] == accuracy(student, distiller.config.task, choice.temperature)
    sizes = distiller.teacher()[1].norm(dim=1)
    assert torch.equal(tensors["pieces"], (sizes > sizes.median()).long())
    monkeypatch.setitem(METHODS, "size", replace(further, hint=False))
    assert not same(student, taught(distiller, "size", tmp_path / "plain.safetensors", choice=choice))


@pytest.mark.parametrize("method", DISTILLATIONS)
def test_every_method_has_its_hyperparameters_and_no_other(method):
    named = CHOICE.of(method)
    assert list(named) == ["subclasses", "beta", "softness", "temperature", "hint", "contrast"]
    assert {name for name, value in named.items() if value is not None} == set(METHODS[method].hyperparameters)


@pytest.mark.parametrize("method", ["kmeans", "kmeans-soft", "tsne-kmeans", *ORACLES])
def test_planted_pieces_are_found(method):
    embeddings = planted()
    for label in range(CLASSES):
        own = embeddings.labels == label
        assert adjusted_rand_score(embeddings.fine[own], likeliest(method, embeddings)[own]) == 1


@pytest.mark.parametrize(("method", "least", "most"), [("lelp", 0.9, 1), ("oracle", 1, 1), ("random", 0, 0.3)])
def test_what_pieces_say_of_planted_ones(method, least, most):
    """Share of the variance of the planted pieces that log q(s | x, c) explains, linearly, in each class."""
    embeddings, every = planted(), torch.arange(120)
    found = splitter(method, replace(CHOICE, subclasses=4), embeddings, STEPS)(embeddings.values, every)
    for label in range(CLASSES):
        own = embeddings.labels == label
        planned = (embeddings.fine[own] > 6).double()
        said = found[own, label].clamp(min=1e-9).log().double()
        said, planned = said - said.mean(0), planned - planned.mean()
        unexplained = planned - said @ torch.linalg.pinv(said) @ planned
        assert least - 1e-6 <= 1 - unexplained.square().sum() / planned.square().sum() <= most + 1e-6


def test_two_pieces_tell_two_planted_ones_apart_after_nearly_every_rotation():
    """Each projection scaled by itself would be the same but for its sign, and be lost wherever the signs agree."""
    embeddings, every = planted(), torch.arange(120)
    apart = 0
    for number in range(40):
        generator = torch_generator("rotations", number)
        q = lelp(embeddings.values, embeddings.labels, embeddings.weight, 2, 1.0, generator)(embeddings.values, every)
        own = embeddings.labels == 0
        said, true = q[own, 0, 0].log().numpy(), (embeddings.fine[own] > 6).numpy()
        apart += abs(np.corrcoef(said, true)[0, 1]) > 0.5
    assert apart >= 36


def test_the_oracle_tells_fine_classes_apart_and_numbers_them_within_each_class():
    embeddings = replace(planted(), fine=torch.tensor([7, 3, 9, 3, 8, 3, 7, 3]).repeat(15))  # class 1 has one only
    every = torch.arange(len(embeddings.labels))
    q = splitter("oracle", replace(CHOICE, softness=0.0), embeddings, STEPS)(embeddings.values, every)
    assert q.shape == (120, CLASSES, 3)  # 7, 8, 9
    assert q[0].tolist() == [[1, 0, 0], [1, 0, 0]]
    assert q[4].tolist() == [[0, 1, 0], [1, 0, 0]]
    assert q[1, 0].tolist() == pytest.approx([1 / 3] * 3)


@settings_of(max_examples=30)
@given(st.integers(2, 9), st.integers(9, 60))
def test_random_pieces_are_balanced(subclasses, samples):
    embeddings = planted()
    embeddings = replace(embeddings, values=embeddings.values[:samples], labels=embeddings.labels[:samples])
    found = likeliest("random", embeddings, replace(CHOICE, subclasses=subclasses))
    assert np.ptp(np.bincount(found, minlength=subclasses)) <= 1


@pytest.mark.parametrize("method", SPLITTING)
def test_pieces_are_the_same_each_time_and_heed_their_own_hyperparameters_alone(method):
    embeddings, every = planted(), torch.arange(120)

    def q(choice: Choice) -> torch.Tensor:
        return splitter(method, choice, embeddings, STEPS)(embeddings.values, every)

    assert torch.equal(q(CHOICE), q(CHOICE))
    assert torch.equal(q(replace(CHOICE, temperature=9.0)), q(CHOICE))
    other = {"subclasses": 3, "beta": 9.0, "softness": 0.3}
    for name, value in other.items():
        found = q(replace(CHOICE, **{name: value}))
        heeded = found.shape != q(CHOICE).shape or not torch.equal(found, q(CHOICE))
        assert heeded == (name in METHODS[method].hyperparameters), name


@pytest.mark.parametrize("method", ["kd", *SPLITTING])
def test_only_oracles_see_fine_labels(method):
    embeddings, every = planted(), torch.arange(120)
    relabelled = replace(embeddings, fine=every % 6)
    first, second = (splitter(method, CHOICE, one, STEPS)(one.values, every) for one in (embeddings, relabelled))
    assert (first.shape == second.shape and torch.equal(first, second)) == (method not in ORACLES)


def test_random_projections_are_lelps_but_for_their_axes():
    embeddings = planted()
    plain = STEPS.model_copy(update={"rotate": False, "standardise": False})
    axes, principal = (
        splitter(method, CHOICE, embeddings, plain).directions.double() for method in ("random-projections", "lelp")
    )
    for found in (axes, principal):
        assert torch.allclose(found @ found.mT, torch.eye(2, dtype=torch.float64), atol=1e-5)
        assert (found @ embeddings.weight.double().T).abs().max() < 1e-5
    centred = embeddings.values[embeddings.labels == 0].double()
    variances = [((centred - centred.mean(0)) @ found[0].T).var(0).sum() for found in (axes, principal)]
    assert variances[0] < variances[1]
    for step in Lelp.model_fields:
        without = STEPS.model_copy(update={step: False})
        other = splitter("random-projections", CHOICE, embeddings, without).directions
        unchanged = torch.equal(other, splitter("random-projections", CHOICE, embeddings, STEPS).directions)
        assert unchanged == (step == "pca")


@pytest.mark.parametrize("method", ["kmeans", "kmeans-soft", "tsne-kmeans", "lelp", "lelp-hard", "random-projections"])
def test_a_dead_teacher_is_one_line(method):
    embeddings = planted()
    dead = replace(embeddings, values=torch.zeros_like(embeddings.values))
    with pytest.raises(InputError, match=r"dead|died|vary"):
        likeliest(method, dead)


@pytest.mark.parametrize("method", ["kmeans", "lelp"])
def test_too_many_pieces_name_their_key(method):
    with pytest.raises(InputError, match=r"distill\.subclasses"):
        likeliest(method, planted(), replace(CHOICE, subclasses=100))


def test_hard_lelp_has_the_likeliest_pieces_of_lelp_whatever_beta_is_and_knows_of_other_classes_nothing():
    embeddings, every = planted(), torch.arange(120)
    choice = replace(CHOICE, subclasses=4, softness=0.0)
    for beta in (0.1, 9.0):
        q = splitter("lelp-hard", replace(choice, beta=beta), embeddings, STEPS)(embeddings.values, every)
        assert torch.equal(q[every, embeddings.labels].argmax(1), likeliest("lelp", embeddings, choice))
        other = q[every, 1 - embeddings.labels]
        assert ((other == 0) | (other == other.amax(1, keepdim=True))).all()  # 0: a piece that is nobody's likeliest


def test_soft_clusters_are_the_distances_from_their_centres():
    embeddings, every = planted(), torch.arange(120)
    choice = replace(CHOICE, subclasses=3, beta=0.7)
    q = splitter("kmeans-soft", choice, embeddings, STEPS)(embeddings.values, every)
    pieces = likeliest("kmeans", embeddings, choice)
    for label in range(CLASSES):
        own = embeddings.labels == label
        centres = torch.stack([embeddings.values[own & (pieces == one)].mean(0) for one in range(3)])
        near = -torch.cdist(embeddings.values.double(), centres.double()).square()
        near = near - near.mean(1, keepdim=True)
        near = near / near[own].square().mean().sqrt()
        assert torch.allclose(q[:, label].double(), (near / 0.7).softmax(1), atol=1e-4)


def test_the_soft_oracle_is_calibrated_and_tells_of_every_class_what_an_image_is_like():
    """Two subclasses that overlap: their true probabilities are known."""
    generator = torch_generator("overlapping")
    labels, piece = torch.arange(4000) % CLASSES, torch.arange(4000) // CLASSES % 2
    values = torch.randn(4000, 3, generator=generator)
    values[:, 1] += 2.0 * piece
    embeddings = Embeddings(values, labels, torch.eye(3)[:CLASSES], labels + CLASSES * piece, settings().cluster)
    q = splitter("oracle-soft", replace(CHOICE, beta=1.0), embeddings, STEPS)(values, torch.arange(4000))
    true = (2.0 * values[:, 1] - 2.0).sigmoid()  # log odds of two normal distributions at 0 and 2
    assert (q[:, :, 1] - true[:, None]).abs().mean() < 0.03
    sharper = splitter("oracle-soft", replace(CHOICE, beta=0.1), embeddings, STEPS)(values, torch.arange(4000))
    assert sharper.amax(2).mean() > q.amax(2).mean() + 0.1


def test_a_class_of_fewer_subclasses_gives_nothing_to_pieces_that_it_has_not():
    embeddings = replace(planted(), fine=torch.tensor([7, 3, 9, 3, 8, 3, 7, 3]).repeat(15))  # class 1 has one only
    q = splitter("oracle-soft", CHOICE, embeddings, STEPS)(embeddings.values, torch.arange(120))
    assert torch.equal(q[:, 1], torch.tensor([1.0, 0, 0]).expand(120, 3))
    assert torch.allclose(q.sum(2), torch.ones(120, CLASSES))


def test_what_takes_long_is_kept_and_read_again(tmp_path):
    embeddings = replace(planted(), folder=tmp_path)
    first = embeddings.probe, embeddings.tsne
    elsewhere = replace(embeddings, fine=embeddings.fine * 0, values=embeddings.values * 0)  # but for what is kept
    assert all(torch.equal(one, other) for one, other in zip(elsewhere.probe, first[0], strict=True))
    assert np.array_equal(elsewhere.tsne, first[1])


def test_candidates_change_one_hyperparameter():
    several = {"subclasses": [2, 4], "betas": [0.5, 1.0, 2.0], "softnesses": [0.0, 0.1, 0.3], "temperatures": [1.0]}
    plan = settings(**several).distill
    assert candidates(plan, CHOICE, "beta") == [replace(CHOICE, beta=beta) for beta in (0.5, 1.0, 2.0)]
    assert candidates(plan, CHOICE, "softness") == [replace(CHOICE, softness=share) for share in (0.0, 0.1, 0.3)]
    assert candidates(plan, CHOICE, "temperature") == [replace(CHOICE, temperature=1.0)]
    assert candidates(plan, CHOICE, "subclasses") == [CHOICE, replace(CHOICE, subclasses=4)]


# --- targets ---


SPLITTERS = {
    "whole": lambda embeddings, labels, weight: whole(CLASSES),
    "lelp": lambda embeddings, labels, weight: lelp(embeddings, labels, weight, 3, 0.5, torch_generator("targets")),
    "assigned": lambda embeddings, labels, weight: assign(labels, torch.arange(SAMPLES) % 3, CLASSES),
}


@pytest.mark.parametrize("kind", SPLITTERS)
def test_targets_of_unaugmented_images_are_those_computed_once(distiller, kind):
    task, (network, embeddings, logits) = distiller.config.task, distiller.teacher()
    split = SPLITTERS[kind](embeddings, task.labels, head(network).weight.detach())
    index = torch.randperm(SAMPLES, generator=torch_generator("index"))[:50]
    images = task.images.normalise(task.images.pixels[index])
    once = fixed_targets(embeddings, logits, split, 4.0)(images, index)
    always = online_targets(network, split, torch.float32, 4.0)(images, index)
    assert torch.allclose(once, always, atol=1e-5)
    assert not always.requires_grad
    assert not torch.allclose(online_targets(network, split, torch.float32, 4.0)(-images, index), once, atol=1e-2)


@pytest.mark.parametrize("method", DISTILLATIONS)
def test_a_student_of_unaugmented_images_does_not_depend_on_when_targets_are_computed(method, tmp_path):
    networks = []
    for augmented in (False, True):
        distiller = distiller_of(make_config(tmp_path / str(augmented), augmented=augmented))
        networks.append(taught(distiller, method, tmp_path / str(augmented) / "student.safetensors"))
    for once, always in zip(*(network.parameters() for network in networks), strict=True):
        assert torch.allclose(once, always, atol=1e-3)


def test_watching_a_network_changes_neither_it_nor_its_mode(distiller):
    network, embeddings, logits = distiller.teacher()
    network.train()
    assert torch.allclose(head(network)(embeddings), logits, atol=1e-5)
    again = forward_all(network, distiller.config.task)
    assert torch.equal(again[0], embeddings)
    assert torch.equal(again[1], logits)
    assert not again[1].requires_grad
    assert network.training
    online_targets(network, whole(CLASSES), torch.float32, 1.0)(torch.zeros(2, 1, 4, 4), torch.arange(2))
    assert network.training


def test_accuracy_is_that_of_the_merged_outputs():
    task, _ = make_task()
    outputs = torch.tensor([1.0, 1.0, 1.5, -9.0])  # class 1 has the likeliest piece, class 0 the larger sum
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
    with torch.no_grad():
        network[1].weight.zero_()
        network[1].bias.copy_(outputs)
    assert merge_logits(outputs[None], 2).argmax() == 0
    assert accuracy(network, task, 1.0) == pytest.approx((task.labels == 0).double().mean().item())
    assert accuracy(network, task, 0.1) == pytest.approx((task.labels == 1).double().mean().item())


# --- training ---


class Recorder:
    """What loop.fit is called with, and every index that its batches hold."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[list[torch.Tensor]] = []
        self.images: list[torch.Tensor] = []
        fit, step = loop.fit, loop.step

        def recording_fit(*arguments, **options):
            self.batches.append([])
            fit(*arguments, **options)

        def recording_step(model, optimizer, inputs, targets, *rest):
            self.batches[-1].append(targets.clone())
            self.images.append(inputs.clone())
            return step(model, optimizer, inputs, targets, *rest)

        monkeypatch.setattr(loop, "fit", recording_fit)
        monkeypatch.setattr(loop, "step", recording_step)


def test_students_of_one_seed_see_the_same_batches_whatever_the_method(distiller, tmp_path, monkeypatch):
    distiller.teacher(CHOICE.invention)  # that of subclass, whose own training is not to be seen
    seen = Recorder(monkeypatch)
    for method in DISTILLATIONS:
        taught(distiller, method, tmp_path / f"{method}.safetensors")
    taught(distiller, "kd", tmp_path / "other.safetensors", seed=1)
    *batches, other = [torch.stack(each) for each in seen.batches]
    assert len(batches) == len(DISTILLATIONS)
    assert batches[0].shape == (3 * 4, 40)
    assert all(torch.equal(each, batches[0]) for each in batches)
    assert not torch.equal(other, batches[0])
    pixels = distiller.config.task.images
    assert torch.equal(seen.images[5], pixels.normalise(pixels.pixels[batches[0][5]]))


def test_students_of_different_teachers_share_nothing(tmp_path, monkeypatch):
    """So each teacher, with its own students, is one replication."""
    seen, networks, orders = Recorder(monkeypatch), [], []
    for teacher in (0, 1):
        config = replace(make_config(tmp_path / str(teacher)), teacher_seed=teacher)
        distiller = distiller_of(config)
        networks.append(taught(distiller, "alone", tmp_path / str(teacher) / "student.safetensors"))
        orders.append(torch.cat(seen.batches[-1]))
    assert not torch.equal(*orders)
    assert not same(*networks)


def test_random_pieces_and_rotations_are_others_for_another_teacher():
    embeddings = planted()
    other = replace(embeddings, teacher=1)
    for method in ("random", "random-projections", "lelp"):
        assert not torch.equal(likeliest(method, embeddings), likeliest(method, other))
    assert torch.equal(likeliest("oracle", embeddings), likeliest("oracle", other))


def test_the_teacher_is_also_scored_on_images_as_students_see_them(distiller):
    """It knows the images as they are; shifted, it knows them less well."""
    task, (network, *_) = distiller.config.task, distiller.teacher()
    plain = distiller.config.recipe
    assert augmented_accuracy(network, task, plain) == pytest.approx(accuracy(network, task, 1.0))
    shifted = augmented_accuracy(network, task, plain.model_copy(update={"crop": 3, "flip": True}))
    assert shifted < accuracy(network, task, 1.0)
    assert shifted == augmented_accuracy(network, task, plain.model_copy(update={"crop": 3, "flip": True}))


def test_every_method_has_the_outputs_it_needs_and_another_student(distiller, tmp_path):
    networks = {method: taught(distiller, method, tmp_path / f"{method}.safetensors") for method in DISTILLATIONS}
    for method, network in networks.items():
        split = CLASSES * 2 if method in (*SPLITTING, "subclass") else CLASSES
        assert head(network).out_features == split
    clusters = {"kmeans", "kmeans-soft", "tsne-kmeans", *ORACLES}  # which may well agree
    heads = [head(network).weight for method, network in networks.items() if method not in clusters]
    assert len({tuple(each.flatten().tolist()) for each in heads}) == len(DISTILLATIONS) - len(clusters)


@pytest.mark.parametrize("method", DISTILLATIONS)
def test_students_learn_the_classes(method, tmp_path):
    config = make_config(tmp_path)
    longer = config.recipe.model_copy(update={"epochs": 25, "lr": 0.05})
    distiller, test = distiller_of(replace(config, recipe=longer, teacher_recipe=longer)), make_task(1)[0]
    network = taught(distiller, method, tmp_path / f"{method}.safetensors")
    assert accuracy(network, test, METHODS[method].temperature(CHOICE)) > 0.9


def test_the_same_student_twice_is_the_same_bytes_and_what_its_file_holds(distiller, tmp_path):
    first, second = (taught(distiller, "lelp", tmp_path / f"{name}.safetensors") for name in "ab")
    assert same(first, second)
    kept = resume.read_tensors(tmp_path / "a.safetensors")
    assert torch.equal(kept["network/head.weight"], first.head.weight.detach())


def test_the_hint_teaches_the_student_itself():
    task, _ = make_task()
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, CLASSES))
    hinted = students.Hinted(network, 5)
    embeddings = torch.randn(SAMPLES, 5, generator=torch_generator("embeddings"))
    images = task.images.normalise(task.images.pixels[:32])
    found = hinted(images)
    assert found.shape == (32, CLASSES + 5)
    assert torch.equal(found[:, :CLASSES], network(images))

    def nothing(outputs, images, index):
        return 0 * outputs.sum(), outputs.argmax(1) == 0

    value, _ = hint_loss(nothing, lambda images, index: embeddings[index], embeddings, CLASSES, 2.0)(
        found, images, torch.arange(32)
    )
    value.backward()
    assert network[1].weight.grad.abs().max() > 0
    assert network[3].weight.grad.abs().max() == 0  # the last layer gives no hints
    assert hinted.hint.weight.grad.abs().max() > 0
    scaled = (embeddings - embeddings.mean(0)) / embeddings.std(0)
    expected = 2.0 * (found[:, CLASSES:] - scaled[:32]).square().mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)


def test_without_a_weight_the_hint_changes_nothing(tmp_path):
    distiller, choice = distiller_of(make_config(tmp_path)), replace(CHOICE, hint=0.0)
    plain, hinted = (
        taught(distiller, method, tmp_path / f"{method}.safetensors", choice=choice) for method in ("kd", "fitnet")
    )
    for left, right in zip(plain.parameters(), hinted.parameters(), strict=True):
        assert torch.allclose(left, right, atol=1e-5)


def test_labels_at_a_temperature_are_those_of_a_student_alone_with_its_loss(tmp_path):
    """At 1 the same network; at another its loss is that of KD from a teacher that is sure of each label."""
    distiller = distiller_of(make_config(tmp_path))
    at = {T: taught(distiller, "labels", tmp_path / f"{T}", choice=replace(CHOICE, temperature=T)) for T in (1.0, 4.0)}
    assert same(at[1.0], taught(distiller, "alone", tmp_path / "alone"))
    assert not same(at[4.0], at[1.0])
    sure = 1e4 * (torch.nn.functional.one_hot(distiller.config.task.labels, CLASSES).float())
    distiller._teachers[None] = (*distiller._teachers[None][:2], sure)
    assert same(at[4.0], taught(distiller, "kd", tmp_path / "kd"))


def test_the_teacher_that_invents_uses_its_pieces(tmp_path):
    used = {}
    for weight in (0.0, 1.0):
        config = make_config(tmp_path / str(weight))
        recipe = config.teacher_recipe.model_copy(update={"epochs": 40, "lr": 0.05})
        distiller = distiller_of(replace(config, teacher_recipe=recipe))
        network, _, logits = distiller.teacher((2, weight))
        assert accuracy(network, config.task, 1.0) > 0.9
        v = logits - logits.mean(1, keepdim=True)
        v = v / v.norm(dim=1, keepdim=True)
        own = v[config.task.labels == 0]
        used[weight] = (own @ own.T).mean().item()
    assert used[1.0] < used[0.0]


# --- choosing ---


def choosing(config: Config) -> tuple[Distiller, Task]:
    """The distiller whose students choose hyper-parameters, and the images that are held out from it."""
    own, held_out = config.of_choosing()
    return distiller_of(own), held_out


def attempts_of(config: Config):
    distiller, held_out = choosing(config)
    return lambda asked: [distiller.attempt(method, choice, 0, held_out) for method, choice in asked]


def test_choosing_tries_each_value_once_and_takes_the_best():
    worth = {
        "subclasses": {2: 0.0, 4: 0.3},
        "beta": {0.5: 0.0, 1.0: 0.1, 2.0: 0.4},
        "softness": {0.1: 0.0},
        "temperature": {1.0: 0.2, 4.0: 0.1},
        "hint": {0.1: 0.0, 1.0: 0.1},
        "contrast": {0.3: 0.0},
    }
    waves = []

    def attempt(asked):
        waves.append(asked)
        return [sum(worth[name][value] for name, value in vars(choice).items()) for _, choice in asked]

    several = {
        "subclasses": [2, 4],
        "betas": [0.5, 1.0, 2.0],
        "softnesses": [0.1, 0.2, 0.3],
        "temperatures": [1.0, 4.0],
        "hint": [0.1, 1.0],
    }
    found = choose(settings(methods=["lelp", "kd", "alone", "fitnet"], **several).distill, attempt)
    best, tried = found["lelp"]
    assert best == Choice(4, 2.0, 0.1, 1.0, 0.1, 0.3)
    assert [[method for method, _ in wave] for wave in waves] == [
        ["lelp"] * 2 + ["kd"] * 2 + ["fitnet"] * 2,
        ["lelp", "fitnet"],
        ["lelp"] * 2,
    ]
    assert list(tried) == [choice for wave in waves for method, choice in wave if method == "lelp"]
    assert len(tried) == 2 + 1 + 2  # each with the others at their best, which are known
    assert tried[best] == max(tried.values()) == pytest.approx(0.9)
    best, tried = found["kd"]
    assert best == Choice(2, 0.5, 0.1, 1.0, 0.1, 0.3)
    assert len(tried) == 2
    assert found["alone"] == (Choice(2, 0.5, 0.1, 1.0, 0.1, 0.3), {})
    best, tried = found["fitnet"]
    assert best == Choice(2, 0.5, 0.1, 1.0, 1.0, 0.3)
    assert len(tried) == 3


def test_of_ties_the_first_is_taken_and_one_value_is_not_tried():
    own = {"subclasses": [3], "betas": [2.0, 0.5], "softnesses": [0.3, 0.2], "temperatures": [1.0]}
    several = settings(methods=["kd", "lelp", "kmeans"], **own)
    found = choose(several.distill, lambda asked: [0.0] * len(asked))
    best, tried = found["lelp"]
    assert best == Choice(3, 2.0, 0.3, 1.0, 1.0, 0.3)
    assert [choice.beta for choice in tried] == [2.0, 0.5]
    best, tried = found["kmeans"]
    assert best == Choice(3, 2.0, 0.3, 1.0, 1.0, 0.3)
    assert [choice.softness for choice in tried] == [0.3, 0.2]
    assert found["kd"] == (best, {})


@pytest.mark.parametrize("method", ["lelp", "subclass", "oracle-soft", "tsne-kmeans"])
def test_no_student_that_chooses_nor_its_teacher_has_seen_what_it_is_scored_on(method, tmp_path, monkeypatch):
    """A teacher that has would tell students that imitate it the labels of these images."""
    config = make_config(tmp_path, validation=0.25, tuning=2)
    seen, scored = Recorder(monkeypatch), []

    def score(network, task, temperature):
        scored.append(task)
        return accuracy(network, task, temperature)

    monkeypatch.setattr("hidden_structure.distillation.distiller.accuracy", score)
    distiller, held_out = choosing(config)
    distiller.attempt(method, CHOICE, 0, held_out)
    order = numpy_generator("distill", "validation").permutation(SAMPLES)
    held, kept = order[: SAMPLES // 4], order[SAMPLES // 4 :]
    *teachers, student = seen.batches
    assert len(teachers) == (2 if method == "subclass" else 1)
    assert all(len(batches) == 3 * (len(kept) // 40) for batches in teachers)
    assert len(student) == 2 * (len(kept) // 40)  # tuning epochs
    images, (task,) = config.task.images, scored
    assert torch.equal(distiller.config.task.images.pixels, images.pixels[kept])
    assert torch.equal(distiller.config.fine, config.fine[kept])
    assert all(index.max() < len(kept) for batches in seen.batches for index in batches)
    assert torch.equal(seen.images[0], images.normalise(images.pixels[kept[teachers[0][0]]]))  # numbers of what is kept
    assert torch.equal(task.images.pixels, images.pixels[held])
    assert torch.equal(task.labels, config.task.labels[held])
    files = {file.relative_to(tmp_path).parts[0] for file in tmp_path.rglob("*") if file.is_file()}
    assert files == {"choosing"}  # apart from what the teacher of all images makes


def test_students_that_choose_are_of_each_teacher_in_turn_and_of_other_seeds():
    plan = settings(teacher="own", seeds=[0, 1], teachers=[4, 5], tuning_seeds=[7, 8, 9]).distill
    assert tuning_students(plan) == [(4, 7), (5, 8), (4, 9)]
    assert pairs(plan) == [(4, 0), (4, 1), (5, 0), (5, 1)]
    assert tuning_students(plan.model_copy(update={"tuning_seeds": None})) == [(4, 0)]


def test_choices_that_differ_have_files_that_differ():
    assert replace(CHOICE, temperature=4.0000001).name != CHOICE.name


# --- who sees what ---


@pytest.mark.parametrize("method", DISTILLATIONS)
def test_no_student_but_those_of_oracles_depends_on_fine_labels(method, tmp_path):
    networks, pieces = [], []
    for fine in (0, 1):
        config = make_config(tmp_path / str(fine))
        if fine:
            config = replace(config, fine=torch.randperm(SAMPLES, generator=torch_generator("fine")) % FINE)
        distiller = distiller_of(config)
        networks.append(taught(distiller, method, tmp_path / str(fine) / "student.safetensors"))
        pieces.append(distiller.pieces(method, CHOICE))
    unchanged = head(networks[0]).out_features == head(networks[1]).out_features and same(*networks)
    assert unchanged == torch.equal(*pieces) == (method not in ORACLES)


@pytest.mark.parametrize("method", DISTILLATIONS)
def test_the_pieces_of_a_method_are_those_that_its_students_are_taught(method, distiller):
    found = distiller.pieces(method, CHOICE)
    assert found.shape == (SAMPLES,)
    assert found.dtype == torch.int64
    if method in ("alone", "labels", "kd", "fitnet"):
        assert not found.any()
    else:
        assert set(found.tolist()) == {0, 1}
    if method == "oracle":
        assert torch.equal(found, distiller.config.fine // CLASSES)
    if method == "subclass":
        _, _, logits = distiller.teacher(CHOICE.invention)
        own = logits.view(-1, CLASSES, 2)[torch.arange(SAMPLES), distiller.config.task.labels]
        assert torch.equal(found, own.argmax(1))


def smoothed(config: Config) -> Config:
    own = {
        name: getattr(config, name).model_copy(update={"label_smoothing": 0.3}) for name in ("recipe", "teacher_recipe")
    }
    return replace(config, **own)


@pytest.mark.parametrize("invented", [None, (2, 0.3)])
def test_a_teachers_labels_are_smoothed_as_its_recipe_says(tmp_path, invented):
    plain, soft = (make_config(tmp_path / name) for name in ("plain", "soft"))
    networks = [train_teacher(config, invented) for config in (plain, smoothed(soft))]
    assert not same(*networks)
    sure = [forward_all(network, plain.task)[1] for network in networks]
    confident = [merge_logits(logits, CLASSES).softmax(1).max(1).values.mean().item() for logits in sure]
    assert confident[1] < confident[0]


def test_labels_that_students_learn_are_smoothed_and_a_teachers_targets_are_not(tmp_path):
    found = {}
    for name in ("plain", "soft"):
        config = make_config(tmp_path / name)
        teacher = train_teacher(config)
        distiller = Distiller(smoothed(config) if name == "soft" else config, teacher)
        found[name] = {method: taught(distiller, method, tmp_path / f"{name}-{method}") for method in ("alone", "kd")}
    assert not same(found["plain"]["alone"], found["soft"]["alone"])
    assert same(found["plain"]["kd"], found["soft"]["kd"])
    targets = students.label_targets(distiller.config.task, 0.3)(torch.empty(0), torch.arange(4))
    labels = distiller.config.task.labels[:4]
    torch.testing.assert_close(targets[range(4), labels], torch.full((4,), 0.85))
    torch.testing.assert_close(targets.sum(1), torch.ones(4))


def test_the_head_of_a_student_with_a_hint_is_its_own():
    """So that Muon leaves it alone, as in students without."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 2))
    assert head(students.Hinted(network, 7)) is network[3]


def test_labels_are_seen_by_the_student_alone_only(tmp_path):
    """Of the teacher's probabilities the classes, and of labels nothing: but for pieces, which belong to a class."""
    distiller = distiller_of(make_config(tmp_path))
    config = distiller.config
    relabelled = replace(config, task=replace(config.task, labels=1 - config.task.labels), folder=tmp_path / "other")
    other = Distiller(relabelled, distiller.teacher()[0])
    for method in ("alone", "kd", "fitnet"):
        ours, theirs = (
            taught(distiller, method, tmp_path / f"{method}.a"),
            taught(other, method, tmp_path / f"{method}.b"),
        )
        assert same(ours, theirs) == (method != "alone")


# --- errors ---


def test_a_student_that_diverges_names_the_keys(distiller, tmp_path):
    recipe = distiller.config.recipe.model_copy(update={"lr": 1e30})
    with pytest.raises(InputError, match=r"^the training loss became .* lower distill\.train\.lr"):
        distiller.student("kd", CHOICE, 3, recipe, tmp_path / "kd-3.safetensors")


@pytest.mark.parametrize(
    ("method", "distill", "choice", "key"),
    [
        ("fitnet", {}, {"hint": 1e38}, "or lower distill.hint (1e+38)"),
        ("lelp", {}, {"beta": 1e-300}, "or raise distill.betas (1e-300)"),
        ("lelp", {}, {"temperature": 1e30}, ", or lower distill.temperatures (1e+30) or raise distill.betas ("),
    ],
)
def test_what_else_can_make_a_student_diverge_is_named(tmp_path, method, distill, choice, key):
    config = make_config(tmp_path)
    config = replace(config, settings=config.settings.model_copy(update=distill))  # beyond what params allow
    distiller = distiller_of(config)
    with pytest.raises(InputError) as told:
        taught(distiller, method, tmp_path / "student.safetensors", choice=replace(CHOICE, **choice))
    assert key in str(told.value)


def test_what_else_can_make_an_inventing_teacher_diverge_is_named(tmp_path):
    config = make_config(tmp_path)
    distiller = distiller_of(config)
    settings_beyond = config.settings.model_copy(update={"contrast_temperature": 1e-20})
    distiller.config = replace(config, settings=settings_beyond)
    with pytest.raises(InputError, match=r"lower distill\.contrast \(1e\+38\) or raise distill\.contrast_temperature"):
        distiller.teacher((2, 1e38))


def test_a_batch_larger_than_what_is_left_to_choose_on_is_named(tmp_path):
    with pytest.raises(InputError, match=r"train\.batch_size: 40 is more than the 16 training samples"):
        choosing(make_config(tmp_path, validation=0.9, temperatures=[1.0, 4.0]))


def test_an_impossible_student_names_its_key(distiller, tmp_path):
    with pytest.raises(InputError, match=r"^lelp, with distill\.subclasses 7: subclasses: 7 pieces need"):
        taught(distiller, "lelp", tmp_path / "x", choice=replace(CHOICE, subclasses=7))
