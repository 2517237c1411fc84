"""What training costs is 6 times the multiplications of each layer, and the tables and the report say so."""

import pytest
import synthetic_recovery
import synthetic_students
import torch
from torch import nn

from hidden_structure.frame import params
from hidden_structure.frame.imbalance import Imbalance
from hidden_structure.networks.build import initialise
from hidden_structure.networks.cost import training_flop
from hidden_structure.report.trained import trained
from hidden_structure.tables import distillation, flops

SHAPE = (8, 8, 3)


def test_layers_cost_six_times_their_multiplications():
    inputs, hidden, classes = 8 * 8 * 3, 16, 10
    linear = nn.Sequential(nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))
    assert training_flop(linear, SHAPE) == 6 * (inputs * hidden + hidden * classes)
    convolution = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5), nn.Flatten())
    assert training_flop(convolution, SHAPE) == 6 * (8 * 8 * 3 * 5 * 9)


class Tokens(nn.Module):
    """A layer for sequences, on patches of 2 x 2 pixels."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.patches, self.layer, self.head = nn.Conv2d(3, 32, 2, stride=2), layer, nn.Linear(32, 10)

    def forward(self, images):
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        queries = [tokens] * (3 if isinstance(self.layer, nn.MultiheadAttention) else 1)
        found = self.layer(*queries)
        return self.head((found[0] if isinstance(found, tuple) else found).mean(1))


TOKENS = 16
ATTENTION = TOKENS * 32 * 4 * 32 + 2 * TOKENS**2 * 32


@pytest.mark.parametrize(
    ("layer", "multiplications"),
    [
        (nn.MultiheadAttention(32, 4, batch_first=True), ATTENTION),
        (nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), ATTENTION + 2 * TOKENS * 32 * 64),
        (nn.LSTM(32, 32, batch_first=True), TOKENS * 4 * 32 * (32 + 32)),
        (nn.GRU(32, 32, batch_first=True), TOKENS * 3 * 32 * (32 + 32)),
    ],
    ids=lambda case: type(case).__name__,
)
def test_layers_that_torch_computes_at_a_stroke_cost_all_their_products(layer, multiplications):
    others = TOKENS * 12 * 32 + 32 * 10
    fast = torch.backends.mha.get_fastpath_enabled()
    assert training_flop(Tokens(layer), SHAPE) == 6 * (multiplications + others)
    assert torch.backends.mha.get_fastpath_enabled() == fast


def test_the_mode_of_the_network_and_its_statistics_stay_what_they_were():
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192), nn.Linear(192, 2))  # of one image it has no statistics
    before = network[1].running_mean.clone()
    training_flop(network, SHAPE)
    assert network.training
    assert (network[1].running_mean == before).all()


STUDY = synthetic_recovery.STUDY.model_copy(
    update=dict.fromkeys(("merges", "split", "distill", "spawn", "permute", "interpolate", "linearity"))
)


@pytest.fixture
def found() -> dict[str, list[dict]]:
    results = synthetic_recovery.results() | {"sweep": []}
    tables = synthetic_recovery.tables(results, STUDY)
    made = {name: tables(name) for name in ("classes", "training")}
    return made | flops.tabulate(STUDY, results.get, SHAPE)


def test_every_network_of_a_study_has_its_cost(found):
    rows = {row["outputs"]: row["flop"] for row in found["flops"]}
    assert set(rows) == {10, 5}
    assert rows[10] == training_flop(initialise(STUDY.network, SHAPE, 10, 0), SHAPE)
    assert rows[10] - rows[5] == 6 * 5 * STUDY.network.width


def test_networks_on_imbalanced_classes_have_their_cost_where_nothing_else_is_trained():
    imbalance = Imbalance(seeds=[0], train=STUDY.train, classes=None, ratios=[1, 10], least=10)
    alone = STUDY.model_copy(update={"train": None, "imbalance": imbalance})
    rows = flops.tabulate(alone, synthetic_recovery.results().get, SHAPE)["flops"]
    assert [(row["network"], row["outputs"]) for row in rows] == [("network", 10)]


def test_the_report_says_what_was_trained_and_what_all_of_it_cost(found):
    numbers = trained(STUDY, lambda name: found.get(name, []))
    lines = {row[0]: dict(zip(numbers.columns, row, strict=True)) for row in numbers.rows}
    images = sum(row["train"] for row in found["classes"])
    assert lines["fine labels"]["number"] == lines["coarse labels"]["number"] == 3
    assert lines["fine labels"]["seeds"] == "0, 1, 2"
    assert lines["fine labels"]["labels"] == "10"
    assert lines["fine labels"]["epochs"] == str(STUDY.train.epochs)
    assert lines["fine labels"]["images"] == str(images)
    total = 3 * sum(row["flop"] for row in found["flops"]) * images * STUDY.train.epochs / 1e15
    assert float(lines["all of these"]["PFLOP each"]) == pytest.approx(total, rel=5e-3)
    accuracies = [row["test"]["accuracy"][-1] for row in found["training"] if row["supervision"] == "coarse"]
    assert lines["coarse labels"]["test accuracy"].startswith(f"{min(accuracies):.3g}")


def test_students_of_every_length_of_training_are_counted(found):
    given = STUDY.model_copy(update={"distill": params.load().distill, "average": None})
    study = synthetic_students.studied(given, epochs=[20, 80])
    results = {"distill": synthetic_students.distill(study), "students": synthetic_students.students(study)}
    made = found | distillation.tabulate(study, (synthetic_recovery.results() | results).get)
    numbers = trained(study, lambda name: made.get(name, []))
    lines = {row[0]: dict(zip(numbers.columns, row, strict=True)) for row in numbers.rows}
    assert lines["students"]["epochs"] == str(study.distill.train.epochs)
    assert lines["students, of other lengths"]["epochs"] == "20 to 80"
    assert lines["students, of other lengths"]["number"] == 2 * lines["students"]["number"]


def test_tables_of_an_earlier_version_say_all_but_the_cost(found):
    del found["flops"]
    numbers = trained(STUDY, lambda name: found.get(name, []))
    assert {row[0] for row in numbers.rows} == {"fine labels", "coarse labels"}
    assert {row[numbers.columns.index("PFLOP each")] for row in numbers.rows} == {None}
    assert "earlier version" in numbers.meaning


def test_a_child_costs_what_it_is_trained_for_after_it_has_left_its_trunk():
    study = params.load().model_copy(update={"train": None, "merges": None, "split": None, "distill": None})
    row = {"width": 1, "weight_decay": 0.0, "guess": 0.1, "seed": [0, 1], "train_accuracy": [1.0, 1.0]}
    row |= {"test_accuracy": [0.9, 0.8]}
    networks = [row | {"name": "trunk", "k": None}, row | {"name": "00005-b", "k": 5}]
    classes = [{"class": name, "superclass": "x", "train": 7, "test": 3} for name in "ab"]
    tables = {"networks": networks, "classes": classes}
    numbers = trained(study, lambda name: tables.get(name, []))
    epochs = study.spawn.train.epochs
    assert [row[3] for row in numbers.rows] == [str(epochs), str(epochs - 5)]
    assert numbers.rows[0][-1] == "0.8 to 0.9"
    assert trained(study.model_copy(update={"spawn": None}), lambda name: tables.get(name, [])) is None
