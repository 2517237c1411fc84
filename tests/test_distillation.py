"""Targets of pieces and their merging, and the projections of LELP: each step, alone and together."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from torch.nn.functional import kl_div, log_softmax, softmax

from hidden_structure.distillation.lelp import assign, contrast, lelp, loss, merge_logits, targets, whole
from hidden_structure.frame.errors import InputError
from hidden_structure.seeding import torch_generator

CLASSES, DIMENSION, SUBCLASSES, SAMPLES = 3, 12, 4, 240
LABELS = torch.arange(SAMPLES) % CLASSES
EVERY = torch.arange(SAMPLES)
PLAIN = {"rotate": False, "standardise": False}

counts = st.integers(1, 5)
seeds = st.integers(0, 99)
temperatures = st.sampled_from([0.5, 1.0, 4.0, 20.0])


def draw(*shape: int, name: str | int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch_generator("draw", name))


WEIGHT = draw(CLASSES, DIMENSION, name="weight")
EMBEDDINGS = draw(SAMPLES, DIMENSION) * torch.linspace(3, 0.3, DIMENSION) + draw(CLASSES, DIMENSION)[LABELS]


def project(embeddings=EMBEDDINGS, labels=LABELS, subclasses=SUBCLASSES, beta=1.0, seed=0, **steps):
    return lelp(embeddings, labels, WEIGHT, subclasses, beta, torch_generator("lelp", seed), **steps)


def projected(found, embeddings=EMBEDDINGS) -> torch.Tensor:
    """What the softmax sees, of each sample's own class: (N, S), computed anew in float64."""
    every = torch.einsum("nd,csd->ncs", embeddings.double(), found.directions.double()) - found.offsets.double()
    return every[torch.arange(len(embeddings)), LABELS]


def close(left, right, tolerance=1e-4) -> bool:
    return torch.allclose(left, right.to(left.dtype), rtol=tolerance, atol=tolerance)


# --- targets, and merging them ---


@given(counts, counts, temperatures, seeds)
def test_targets_sum_to_the_teachers_probabilities_and_merge_back_into_them(classes, subclasses, temperature, seed):
    logits, q = 3 * draw(7, classes, name=seed), draw(7, classes, subclasses, name=seed + 100).softmax(2)
    wanted, teacher = targets(logits, q, temperature), (logits / temperature).softmax(1)
    assert wanted.shape == (7, classes * subclasses)
    assert close(wanted.unflatten(1, (classes, subclasses)).sum(2), teacher, 1e-6)
    fitted = wanted.log() * temperature + draw(7, 1, name=seed)  # outputs that fit the targets exactly
    assert close(merge_logits(fitted, classes, temperature), teacher.log(), 1e-5)


@pytest.mark.parametrize("kind", ["whole", "lelp", "assigned"])
def test_no_way_of_splitting_changes_what_the_classes_get(kind):
    pieces = EVERY // CLASSES % SUBCLASSES
    split = {"whole": whole(CLASSES), "lelp": project(beta=0.3), "assigned": assign(LABELS, pieces, CLASSES)}[kind]
    q = split(EMBEDDINGS, EVERY)
    assert close(q.sum(2), torch.ones(SAMPLES, CLASSES), 1e-6)
    logits = EMBEDDINGS @ WEIGHT.T
    merged = targets(logits, q, 2.0).unflatten(1, (CLASSES, -1)).sum(2)
    assert close(merged, (logits / 2).softmax(1), 1e-6)


@given(counts, counts, temperatures, seeds)
def test_merging_gives_log_probabilities_that_no_order_of_the_pieces_changes(classes, subclasses, temperature, seed):
    logits = draw(5, classes, subclasses, name=seed)
    merged = merge_logits(logits.flatten(1), classes, temperature)
    assert close(merged.exp().sum(1), torch.ones(5), 1e-5)
    assert close(merge_logits(logits.flip(2).flatten(1), classes, temperature), merged, 1e-5)
    assert close(merge_logits(logits.flip(1).flatten(1), classes, temperature).flip(1), merged, 1e-5)


def test_classes_left_whole_are_vanilla_distillation():
    logits, q = draw(6, CLASSES), whole(CLASSES)(EMBEDDINGS[:6], EVERY[:6])
    assert close(targets(logits, q, 3.0), (logits / 3).softmax(1), 1e-6)
    assert close(merge_logits(logits, CLASSES), log_softmax(logits, 1), 1e-6)


@given(temperatures, seeds)
def test_the_loss_has_the_gradient_of_the_divergence_and_is_least_at_the_targets(temperature, seed):
    wanted = draw(8, 6, name=seed).softmax(1)
    logits = draw(8, 6, name=seed + 100).requires_grad_()
    divergence = kl_div(log_softmax(logits / temperature, 1), wanted, reduction="batchmean") * temperature**2
    value = loss(logits, wanted, temperature)
    ours, theirs = (torch.autograd.grad(each, logits)[0] for each in (value, divergence))
    assert close(ours, theirs, 1e-5)
    entropy = -(wanted * wanted.log()).sum(1).mean() * temperature**2
    assert close(value.detach() - divergence.detach(), entropy, 1e-4)
    at_best = (temperature * wanted.log()).requires_grad_()
    assert torch.autograd.grad(loss(at_best, wanted, temperature), at_best)[0].abs().max() < 1e-5 * temperature


# --- LELP ---


@pytest.mark.parametrize("steps", [{}, {"rotate": False}, {"pca": False}, PLAIN], ids=str)
def test_directions_are_blind_to_what_the_output_weights_read(steps):
    found = project(**steps)
    size = found.directions.norm(dim=2).max()
    assert (found.directions @ WEIGHT.T).abs().max() < 1e-5 * size
    moved = EMBEDDINGS + draw(SAMPLES, CLASSES, name="along") @ WEIGHT
    assert close(found(moved, EVERY), found(EMBEDDINGS, EVERY))
    assert close(project(moved, **steps)(moved, EVERY), found(EMBEDDINGS, EVERY))


def test_without_that_step_they_are_not():
    found = project(null_space=False)
    assert (found.directions @ WEIGHT.T).abs().max() > 0.1
    moved = EMBEDDINGS + draw(SAMPLES, CLASSES, name="along") @ WEIGHT
    assert not close(found(moved, EVERY), found(EMBEDDINGS, EVERY), 0.1)


def test_a_constant_added_to_all_embeddings_changes_nothing():
    moved = EMBEDDINGS + 5 * draw(DIMENSION, name="constant")
    assert close(project(moved)(moved, EVERY), project()(EMBEDDINGS, EVERY))


def test_nor_does_their_scale():
    assert close(project(100 * EMBEDDINGS)(100 * EMBEDDINGS, EVERY), project()(EMBEDDINGS, EVERY))
    plain = project(10 * EMBEDDINGS, standardise=False)(10 * EMBEDDINGS, EVERY)
    assert not close(plain, project(standardise=False)(EMBEDDINGS, EVERY), 0.1)


@pytest.mark.parametrize("rotate", [True, False])
@pytest.mark.parametrize("pca", [True, False])
@pytest.mark.parametrize("null_space", [True, False])
def test_projections_have_mean_zero_and_on_average_variance_one_on_their_class(null_space, pca, rotate):
    points = projected(project(null_space=null_space, pca=pca, rotate=rotate))
    for label in range(CLASSES):
        own = points[label == LABELS]
        assert close(own.mean(0), torch.zeros(SUBCLASSES), 1e-5)
        assert own.square().mean().item() == pytest.approx(1, abs=1e-5)


def test_scaling_leaves_the_projections_of_a_class_in_proportion():
    plain, scaled = projected(project(standardise=False)), projected(project())
    for label in range(CLASSES):
        ratio = scaled[label == LABELS] / plain[label == LABELS]
        assert close(ratio, ratio[0, 0].expand_as(ratio), 1e-3)


@pytest.mark.parametrize("null_space", [True, False])
def test_without_rotation_and_scale_they_are_the_principal_components(null_space):
    points = projected(project(null_space=null_space, **PLAIN))
    embeddings = EMBEDDINGS.double().numpy()
    if null_space:
        read = np.linalg.qr(WEIGHT.double().numpy().T)[0]
        embeddings = embeddings - embeddings @ read @ read.T
    for label in range(CLASSES):
        expected = torch.from_numpy(PCA(SUBCLASSES).fit_transform(embeddings[label == LABELS]))
        own = points[label == LABELS]
        signs = (own * expected).sum(0).sign()
        assert close(own, expected * signs, 1e-4)


def test_a_rotation_keeps_the_space_and_spreads_its_variance_evenly():
    def variances(seed: int, **steps) -> torch.Tensor:
        return projected(project(seed=seed, standardise=False, **steps)).square().mean(0)

    plain = variances(0, rotate=False)
    rotated = torch.stack([variances(seed) for seed in range(200)])
    assert close(rotated.sum(1), plain.sum().expand(200), 1e-4)
    assert plain.max() > 1.5 * plain.min()
    assert rotated.mean(0).max() < 1.1 * rotated.mean(0).min()
    assert rotated[0].max() - rotated[0].min() > 0.01  # of one rotation it need not be even


def test_random_axes_are_orthonormal_and_others_for_another_generator():
    found, other = (project(pca=False, seed=seed, **PLAIN).directions for seed in (0, 1))
    assert close(found @ found.mT, torch.eye(SUBCLASSES).expand(CLASSES, -1, -1), 1e-5)
    assert not close(found, other, 0.1)
    assert not close(found, project(**PLAIN).directions, 0.1)


@pytest.mark.parametrize("noise", range(5))
def test_rounding_does_not_turn_an_axis_whose_entries_are_alike(noise):
    along = torch.tensor([1.0, -1, 1, -1])
    points = draw(60, 1, name="along").double() * along + 1e-13 * draw(60, 4, name=noise).double()
    labels, weight = EVERY[:60] % 1, torch.ones(1, 4)
    found = lelp(points, labels, weight, 1, 1.0, torch_generator("lelp"), null_space=False, rotate=False)
    direction = found.directions[0, 0] / found.directions.norm()
    assert close(direction, along / 2, 1e-6)


def test_the_same_generator_gives_the_same_bytes_and_only_the_rotation_draws():
    assert torch.equal(project().directions, project().directions)
    assert not close(project(seed=1).directions, project().directions, 0.1)
    assert torch.equal(project(seed=1, rotate=False).directions, project(rotate=False).directions)


def test_the_order_of_samples_does_not_matter():
    order = torch.randperm(SAMPLES, generator=torch_generator("order"))
    found = project(EMBEDDINGS[order], LABELS[order])
    assert close(found(EMBEDDINGS, EVERY), project()(EMBEDDINGS, EVERY))


def test_a_class_is_split_by_its_own_samples_alone():
    moved = torch.where((LABELS == 0)[:, None], draw(SAMPLES, DIMENSION, name="other"), EMBEDDINGS)
    found, before = project(moved), project()
    assert torch.equal(found.directions[1:], before.directions[1:])
    assert torch.equal(found.offsets[1:], before.offsets[1:])
    assert not close(found.directions[0], before.directions[0], 0.1)


def test_the_temperature_of_the_pieces_goes_from_one_piece_to_all_alike():
    hard, soft = (project(beta=beta)(EMBEDDINGS, EVERY) for beta in (1e-6, 1e6))
    assert close(hard.max(2).values, torch.ones(SAMPLES, CLASSES), 1e-3)
    assert close(soft, torch.full((SAMPLES, CLASSES, SUBCLASSES), 1 / SUBCLASSES), 1e-3)
    middle = project(beta=0.7)(EMBEDDINGS, EVERY)
    own = middle[EVERY, LABELS]
    assert close(own, (projected(project()) / 0.7).softmax(1), 1e-5)
    assert torch.equal(middle.argmax(2), hard.argmax(2))


def test_pieces_of_unseen_samples_depend_on_their_embedding_alone():
    found, unseen = project(), draw(9, DIMENSION, name="unseen")
    assert torch.equal(found(unseen, EVERY[:9]), found(unseen, EVERY[-9:]))
    assert close(found(unseen, EVERY[:9])[4], found(unseen[4:5], EVERY[:1])[0], 1e-5)


def test_more_weights_than_dimensions_that_they_read_leave_the_others():
    """Rows that depend on each other: a binary teacher often learns w and -w."""
    weight = torch.stack([WEIGHT[0], -WEIGHT[0], 2 * WEIGHT[0]])
    found = lelp(EMBEDDINGS, LABELS, weight, DIMENSION - 1, 1.0, torch_generator("lelp"))
    assert (found.directions @ WEIGHT[0]).abs().max() < 1e-5 * found.directions.norm(dim=2).max()
    with pytest.raises(InputError, match=rf"less 1 that .*, leave {DIMENSION - 1}: lower .* to {DIMENSION - 1}"):
        lelp(EMBEDDINGS, LABELS, weight, DIMENSION, 1.0, torch_generator("lelp"))


@pytest.mark.parametrize(
    ("null_space", "most", "said"),
    [
        (True, DIMENSION - CLASSES, f"less {CLASSES} that its output weights read (null_space), leave"),
        (False, DIMENSION, f"embeddings of {DIMENSION} dimensions: lower subclasses to"),
    ],
)
def test_no_more_pieces_than_dimensions(null_space, most, said):
    assert project(subclasses=most, null_space=null_space).directions.shape == (CLASSES, most, DIMENSION)
    with pytest.raises(InputError, match=re.escape(said) + rf" {most}") as caught:
        project(subclasses=most + 1, null_space=null_space)
    assert ("set null_space: false" in str(caught.value)) == null_space


@pytest.mark.parametrize(("width", "classes"), [(2, 3), (3, 3), (4, 3), (3, 20)])
def test_where_the_output_weights_read_all_the_embeddings_lowering_is_not_advised(width, classes):
    embeddings, weight = draw(SAMPLES, width), draw(classes, width, name="w")
    given = (embeddings, EVERY % classes, weight, 2, 1.0, torch_generator("lelp"))
    with pytest.raises(
        InputError, match=rf"embeddings of {width} dimensions, less {min(width, classes)} that"
    ) as caught:
        lelp(*given)
    assert "lower" not in str(caught.value)
    assert "set null_space: false" in str(caught.value)
    assert lelp(*given, null_space=False).directions.shape == (classes, 2, width)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_diverged_teacher_is_one_line(bad):
    broken = EMBEDDINGS.clone()
    broken[3, 4] = bad
    with pytest.raises(InputError, match=r"NaN or infinity: did its training diverge"):
        project(broken)
    with pytest.raises(InputError, match="NaN or infinity"):
        lelp(EMBEDDINGS, LABELS, WEIGHT * bad, SUBCLASSES, 1.0, torch_generator("lelp"))


def test_a_class_without_samples_is_named():
    with pytest.raises(InputError, match=r"^class 1 has no training sample"):
        project(EMBEDDINGS[LABELS != 1], LABELS[LABELS != 1])


def test_projections_of_a_layer_that_is_still_a_parameter_are_no_part_of_its_graph():
    layer = torch.nn.Parameter(WEIGHT)
    found = lelp(EMBEDDINGS, LABELS, layer, SUBCLASSES, 1.0, torch_generator("lelp", 0))
    assert not found.directions.requires_grad
    assert torch.equal(found.directions, project().directions)


def test_double_precision_is_taken_too():
    assert close(project(EMBEDDINGS.double())(EMBEDDINGS.double(), EVERY).float(), project()(EMBEDDINGS, EVERY))


ALIKE = torch.where((LABELS == 2)[:, None], EMBEDDINGS[2], EMBEDDINGS)
LINE = EMBEDDINGS[:, :1] * draw(DIMENSION, name="line")
READ = draw(SAMPLES, CLASSES, name="read") @ WEIGHT


@pytest.mark.parametrize("kind", ["alike", "alike in float64", "only what the weights read", "one sample"])
@pytest.mark.parametrize("pca", [True, False])
def test_a_class_that_does_not_vary_is_named(kind, pca):
    tenths = torch.full_like(EMBEDDINGS, 0.1, dtype=torch.float64)  # whose mean is not quite 0.1
    embeddings = {"alike in float64": tenths, "only what the weights read": READ}.get(kind, ALIKE)
    chosen = EVERY if kind != "one sample" else EVERY[(LABELS != 2) | (EVERY == 2)]
    label = 2 if kind in ("alike", "one sample") else 0
    with pytest.raises(InputError, match=rf"^class {label} does not vary"):
        project(embeddings[chosen], LABELS[chosen], pca=pca)


@pytest.mark.parametrize("rotate", [True, False])
def test_a_class_that_varies_in_fewer_directions_than_pieces_can_be_split(rotate):
    points = projected(project(LINE, rotate=rotate), LINE)
    assert points.isfinite().all()
    assert points[LABELS == 0].square().mean().item() == pytest.approx(1, abs=1e-3)


def as_numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.numpy()


def as_read_only_doubles(tensor: torch.Tensor) -> np.ndarray:
    """As a memory map of a reversed big-endian table would give them."""
    array = tensor.numpy()
    array = np.flip(array.astype(">f8" if tensor.is_floating_point() else ">i8"), 0).copy()[::-1]
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("given", [as_numpy, as_read_only_doubles])
def test_every_function_takes_numpy_arrays_and_gives_the_tensors_that_it_gives_of_tensors(given):
    found, expected = lelp(*map(given, (EMBEDDINGS, LABELS, WEIGHT)), 4, 1.0, torch_generator("lelp", 0)), project()
    pieces = EVERY // CLASSES % 4
    assigned = assign(given(LABELS), given(pieces), CLASSES), assign(LABELS, pieces, CLASSES)
    for split, like in ((found, expected), assigned, (whole(CLASSES), whole(CLASSES))):
        assert close(split(given(EMBEDDINGS), given(EVERY)), like(EMBEDDINGS, EVERY), 1e-5)
        assert close(split(EMBEDDINGS, EVERY), like(EMBEDDINGS, EVERY), 1e-5)
    logits, q, outputs = EMBEDDINGS @ WEIGHT.T, expected(EMBEDDINGS, EVERY), draw(SAMPLES, CLASSES * 4)
    wanted = targets(logits, q, 2.0)
    assert close(targets(given(logits), given(q), 2.0), wanted, 1e-5)
    assert close(merge_logits(given(outputs), CLASSES, 2.0), merge_logits(outputs, CLASSES, 2.0), 1e-5)
    for mine in (outputs, given(outputs)):
        for theirs in (wanted, given(wanted)):
            assert loss(mine, theirs, 2.0).item() == pytest.approx(loss(outputs, wanted, 2.0).item(), rel=1e-5)
    assert contrast(given(outputs), 0.5).item() == pytest.approx(contrast(outputs, 0.5).item(), rel=1e-4)


@pytest.mark.parametrize("given", [lambda tensor: tensor, as_numpy, as_read_only_doubles])
def test_the_example_of_the_documentation_runs_on_tensors_and_on_numpy_arrays(given):
    document = (Path(__file__).parents[1] / "docs/distil.md").read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", document, re.DOTALL) if "import lelp" in block]
    inputs = draw(50, 6, name="inputs")
    student = torch.nn.Linear(6, 10)
    teacher = {"embeddings": draw(50, 12), "labels": EVERY[:50] % 2, "weight": draw(2, 12, name="weight")}
    teacher["logits"] = teacher["embeddings"] @ teacher["weight"].T
    names = {"inputs": inputs, "student": student} | {name: given(array) for name, array in teacher.items()}
    exec(code, names)
    assert names["wanted"].shape == (50, 10)
    assert names["wanted"].sum(1).numpy() == pytest.approx(1, abs=1e-5)
    assert student.weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"embeddings": EMBEDDINGS.long()}, "embeddings must be floats"),
        ({"embeddings": EMBEDDINGS[0]}, "embeddings must be floats"),
        ({"labels": LABELS.float()}, "labels must be int64"),
        ({"labels": LABELS[1:]}, "labels must be int64"),
        ({"labels": LABELS + 1}, "labels must lie in 0"),
        ({"labels": LABELS - 1}, "labels must lie in 0"),
        ({"weight": WEIGHT[:, 1:]}, "weight must be"),
        ({"weight": WEIGHT * math.inf}, "NaN or infinity"),
        ({"subclasses": 0}, "must be positive, got 0"),
        ({"beta": 0.0}, "must be positive"),
        ({"beta": math.nan}, "must be positive"),
    ],
)
def test_arrays_that_do_not_fit_are_named(change, named):
    given = {"embeddings": EMBEDDINGS, "labels": LABELS, "weight": WEIGHT, "subclasses": SUBCLASSES, "beta": 1.0}
    with pytest.raises(InputError, match=named):
        lelp(**(given | change), generator=torch_generator("lelp", 0))


def test_a_class_without_samples_cannot_have_pieces():
    with pytest.raises(InputError, match="class 2 has no training sample"):
        assign(LABELS.clamp(max=1), LABELS, CLASSES)


# --- pieces that training samples have been given ---


@given(st.integers(1, 4), st.integers(1, 5), seeds)
def test_a_sample_has_its_own_piece_of_its_class_and_all_alike_of_others(classes, subclasses, seed):
    generator = torch_generator("assigned", seed)
    labels = torch.arange(40) % classes
    sizes = torch.randint(1, subclasses + 1, (classes,), generator=generator)  # pieces differ in number
    pieces = torch.arange(40) // classes % sizes[labels]
    split, index = assign(labels, pieces, classes), torch.randperm(40, generator=generator)[:15]
    q = split(draw(15, 6), index)
    assert q.shape == (15, classes, int(sizes.max()))
    assert close(q.sum(2), torch.ones(15, classes), 1e-6)
    for row, sample in zip(q, index, strict=True):
        for label in range(classes):
            if label == labels[sample]:
                assert row[label].tolist() == [float(piece == pieces[sample]) for piece in range(q.shape[2])]
            else:
                even = [1 / int(sizes[label]) if piece < sizes[label] else 0 for piece in range(q.shape[2])]
                assert row[label].tolist() == pytest.approx(even)


def draw_teacher(classes: int, subclasses: int, seed: int) -> tuple[torch.Tensor, ...]:
    """Labels, pieces of which classes have different numbers, and a teacher's logits: right, wrong, sure or not."""
    generator = torch_generator("teacher", seed)
    labels = torch.arange(60) % classes
    sizes = torch.randint(1, subclasses + 1, (classes,), generator=generator)
    logits = 6 * torch.randn(60, classes, generator=generator)
    logits[::2] += 9 * torch.eye(classes)[labels[::2]]
    return labels, torch.arange(60) // classes % sizes[labels], sizes, logits


@given(st.integers(1, 4), st.integers(1, 5), temperatures, st.sampled_from([0.0, 0.1, 0.7, 1.0]), seeds)
def test_siblings_never_get_less_than_pieces_of_wrong_classes(classes, subclasses, temperature, softness, seed):
    labels, pieces, sizes, logits = draw_teacher(classes, subclasses, seed)
    split, every = assign(labels, pieces, classes, softness), torch.arange(60)
    p = (logits / temperature).softmax(1)
    q = split(None, every, p)
    assert close(q.sum(2), torch.ones(60, classes), 1e-5)
    wanted = targets(logits, q, temperature).unflatten(1, (classes, -1))
    assert close(wanted.sum(2), p, 1e-5)  # classes keep what the teacher gives them
    for row, label, piece, teacher in zip(wanted, labels, pieces, p, strict=True):
        own, size = row[label][: sizes[label]], int(sizes[label])
        others = torch.cat([row[:label], row[label + 1 :]]).amax() if classes > 1 else row.new_zeros(())
        even = teacher[label] / size  # what is there for each: more is not to be had
        siblings = torch.cat([own[:piece], own[piece + 1 :]])
        assert (siblings >= torch.minimum(others, even) - 1e-6).all()
        assert (siblings >= softness * even - 1e-6).all()
        assert own[piece] >= own.amax() - 1e-6


def test_a_sure_teacher_leaves_the_softness_as_it_is_and_a_softened_one_raises_it_just_enough():
    labels, pieces = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    split, logits = assign(labels, pieces, 2, 0.1), torch.tensor([[20.0, 0.0]])
    sure, soft = (split(None, EVERY[:1], (logits / temperature).softmax(1))[0, 0] for temperature in (1.0, 20.0))
    assert sure.tolist() == pytest.approx([0.95, 0.05])
    p = (logits / 20).softmax(1)[0]
    assert soft[1].item() * p[0].item() == pytest.approx(p[1].item() / 2)  # as much as a piece of the other class


def test_without_softness_the_targets_were_upside_down():
    """What is guarded against: a sibling that gets less than what is in the wrong class."""
    labels, pieces = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    logits, split = torch.tensor([[4.0, 0.0]]), assign(labels, pieces, 2)
    unguarded = targets(logits, split(None, EVERY[:1]), 4.0)[0]
    assert unguarded[1] == 0 < unguarded[2]
    guarded = targets(logits, split(None, EVERY[:1], (logits / 4).softmax(1)), 4.0)[0]
    assert guarded[1].item() == pytest.approx(guarded[2].item())


@pytest.mark.parametrize("softness", [-0.1, 1.1, math.nan])
def test_a_softness_that_is_no_share_is_named(softness):
    with pytest.raises(InputError, match="softness must be a share"):
        assign(LABELS, LABELS, CLASSES, softness)


def test_assigned_pieces_ignore_the_embeddings_and_repeat_themselves():
    split = assign(LABELS, EVERY // CLASSES % 2, CLASSES)
    first = split(EMBEDDINGS, EVERY)
    assert torch.equal(split(-EMBEDDINGS, EVERY), first)
    assert torch.equal(split(EMBEDDINGS[5:8], EVERY[5:8]), first[5:8])


# --- the auxiliary loss ---


@given(st.integers(1, 6), st.integers(2, 6), st.sampled_from([0.1, 1.0, 10.0]), seeds)
def test_the_contrast_is_that_of_its_formula(samples, outputs, temperature, seed):
    logits = 3 * draw(samples, outputs, name=seed)
    v = [(row - row.mean()) / (row - row.mean()).norm() for row in logits.double()]
    terms = [math.log(sum(math.exp(float(a @ b) / temperature) for b in v) / samples) - 1 / temperature for a in v]
    assert contrast(logits, temperature).item() == pytest.approx(sum(terms) / samples, rel=1e-3, abs=1e-4)


def test_the_contrast_is_zero_where_all_agree_and_lower_where_they_differ():
    agreeing = draw(1, 6).repeat(8, 1) * torch.linspace(1, 9, 8)[:, None] + draw(8, 1)  # scale and mean do not count
    assert contrast(agreeing, 0.5).item() == pytest.approx(0, abs=1e-4)
    two, six = (torch.eye(6)[torch.arange(12) % pieces] for pieces in (2, 6))
    assert contrast(six, 0.5) < contrast(two, 0.5) < -0.1
    assert contrast(six[torch.randperm(12)], 0.5).item() == pytest.approx(contrast(six, 0.5).item(), abs=1e-6)


def test_the_contrast_is_finite_where_logits_agree_and_can_be_descended():
    dead = torch.zeros(4, 6, requires_grad=True)
    contrast(dead, 1.0).backward()
    assert dead.grad.isfinite().all()
    logits = draw(16, 6, name="descent").requires_grad_()
    optimizer, before = torch.optim.SGD([logits], 1.0), contrast(logits, 0.5).item()
    for _ in range(50):
        optimizer.zero_grad()
        contrast(logits, 0.5).backward()
        optimizer.step()
    assert contrast(logits, 0.5).item() < before


def test_a_network_that_learns_the_targets_learns_the_teachers_classes():
    """The whole of it: outputs of C x S numbers a sample, descended from chance, merge into the teacher's p."""
    logits, q = draw(20, CLASSES, name="teacher"), project(beta=0.5)(EMBEDDINGS[:20], EVERY[:20])
    outputs = torch.zeros(20, CLASSES * SUBCLASSES, requires_grad=True)
    optimizer = torch.optim.Adam([outputs], 0.3)
    for step in range(600):
        optimizer.param_groups[0]["lr"] = 0.3 * (1 - step / 600)
        optimizer.zero_grad()
        loss(outputs, targets(logits, q, 2.0), 2.0).backward()
        optimizer.step()
    assert close(merge_logits(outputs.detach(), CLASSES, 2.0).exp(), softmax(logits / 2, 1), 1e-2)


@pytest.mark.parametrize("kind", [np.int32, np.uint8, np.uint16, np.uint32])
def test_clusters_of_any_whole_numbers_are_pieces(kind):
    pieces = (EVERY // CLASSES) % SUBCLASSES
    expected, found = (assign(LABELS, one, CLASSES)(EMBEDDINGS, EVERY) for one in (pieces, pieces.numpy().astype(kind)))
    assert torch.equal(expected, found)


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (EVERY - 1, "pieces must be 0 or more, got -1"),
        (EVERY[:, None], "pieces must be int64"),
        (EVERY.float(), "pieces must be int64"),
        (EVERY[:4], "labels must be int64"),
        (EVERY[:0], "there are no samples"),
    ],
)
def test_pieces_that_are_none_are_refused_at_once(pieces, said):
    with pytest.raises(InputError, match=said):
        assign(LABELS, pieces, CLASSES)


def test_outputs_that_no_number_of_pieces_gives_are_refused():
    with pytest.raises(InputError, match="10 outputs are not as many for each of 3 classes"):
        merge_logits(draw(4, 10), 3)


def test_a_student_of_other_outputs_than_its_targets_is_refused():
    with pytest.raises(
        InputError, match=r"puts out \(4, 2\) and the targets are \(4, 10\): give it an output for each"
    ):
        loss(torch.zeros(4, 2), torch.full((4, 10), 0.1), 4.0)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperatures_that_are_none_are_refused(temperature):
    with pytest.raises(InputError, match="the temperature must be above 0"):
        targets(torch.zeros(4, 2), torch.full((4, 2, 5), 0.2), temperature)


# --- what is called by hand ---

SPLITTERS = {"lelp": project(), "assigned": assign(LABELS, EVERY // CLASSES % 2, CLASSES), "whole": whole(CLASSES)}


@pytest.mark.parametrize("name", SPLITTERS)
@pytest.mark.parametrize(
    ("index", "said"),
    [
        (EVERY[:5], rf"^index must be int64 \({SAMPLES},\).*got torch.int64 \(5,\)"),
        (EVERY.float(), "^index must be int64"),
        (EVERY >= 0, "^index must be int64"),
        (EVERY[:, None], "^index must be int64"),
        (EVERY.numpy().astype(str), "^index must be an array or a tensor of numbers"),
        (None, "^index must be"),
    ],
    ids=["fewer", "floats", "mask", "column", "strings", "none"],
)
def test_numbers_of_samples_that_are_none_are_refused_by_every_splitter(name, index, said):
    with pytest.raises(InputError, match=said):
        SPLITTERS[name](EMBEDDINGS, index)


@pytest.mark.parametrize("shift", [-1, 1])
def test_numbers_of_samples_that_have_no_piece_are_told(shift):
    with pytest.raises(InputError, match=rf"have been given pieces, must lie in 0\.\.{SAMPLES - 1}, got"):
        SPLITTERS["assigned"](EMBEDDINGS, EVERY + shift)


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (lambda: SPLITTERS["lelp"](EMBEDDINGS[:, :3], EVERY), rf"embeddings must be \(any, {DIMENSION}\)"),
        (lambda: SPLITTERS["lelp"](EMBEDDINGS.T, EVERY), rf"embeddings must be \(any, {DIMENSION}\)"),
        (lambda: SPLITTERS["lelp"](EMBEDDINGS.numpy().astype(str), EVERY), "embeddings must be an array"),
        (lambda: SPLITTERS["assigned"](EMBEDDINGS, EVERY, torch.ones(5, CLASSES)), "probabilities must be"),
        (lambda: SPLITTERS["assigned"](EMBEDDINGS, EVERY, torch.ones(CLASSES, SAMPLES)), "probabilities must be"),
        (lambda: targets(LABELS, torch.ones(SAMPLES, CLASSES, 2), 1.0), r"logits must be \(any, any\)"),
        (lambda: targets(torch.ones(1, CLASSES), torch.ones(SAMPLES, CLASSES, 2), 1.0), "pieces must be"),
        (lambda: targets(torch.ones(SAMPLES, 1), torch.ones(SAMPLES, CLASSES, 2), 1.0), "pieces must be"),
        (lambda: targets(torch.ones(SAMPLES, CLASSES), SPLITTERS["lelp"], 1.0), "pieces must be an array"),
        (lambda: merge_logits(torch.ones(4, 6), 0), "for each of 0 classes"),
        (lambda: merge_logits(torch.ones(4, 6), 2, 0.0), "the temperature must be above 0"),
        (lambda: merge_logits(torch.ones(6), 2), "logits must be"),
        (lambda: loss(torch.ones(4, 6), torch.ones(4, 6), 0.0), "the temperature must be above 0"),
        (lambda: loss(torch.ones(6), torch.ones(6), 1.0), "logits must be"),
        (lambda: lelp(EMBEDDINGS, LABELS, WEIGHT, 2.5, 1.0, torch_generator("lelp")), "subclasses, a whole number"),
        (lambda: lelp(EMBEDDINGS, LABELS.numpy().astype(str), WEIGHT, 2, 1.0, torch_generator("l")), "^labels must be"),
        (lambda: assign(LABELS, EVERY.numpy().astype(str), CLASSES), "^pieces must be"),
    ],
)
def test_what_does_not_fit_a_split_is_named(split, said):
    with pytest.raises(InputError, match=said) as caught:
        split()
    assert "distill." not in str(caught.value)
