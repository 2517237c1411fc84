"""What is measured of the features of one aligned pair of the study: layers on the line, and stitching."""

from hidden_structure.connectivity.pairing import aligned
from hidden_structure.connectivity.repair import repairer
from hidden_structure.connectivity.repair_images import repair_images
from hidden_structure.connectivity.spawning import Pair
from hidden_structure.frame.params import Hardware, Linearity
from hidden_structure.linearity import layers
from hidden_structure.linearity.stitching import stitch
from hidden_structure.training.inputs import read


def measure(pair: Pair, method: str, hardware: Hardware, settings: Linearity) -> dict:
    """Rows of results of the line, plain and repaired ("lines"), and of stitching ("stitched"); it reads networks,
    permutation and images itself.

    Raises InputError if a file is missing or damaged, or a feature is not finite.
    """
    inputs = read(hardware)
    network, a, b = aligned(pair, method, inputs)
    split = inputs.some("test", settings.samples, "linearity")
    statistics = repair_images(pair.cell.train, inputs.images["train"], settings.repair_samples)
    lines = []
    for repaired in (False, True):
        repair = repairer(network, a, b, statistics, inputs.precision) if repaired else None
        found = layers.measure(network, a, b, settings.alphas, split, repair)
        lines.append(pair.row(method) | {"repaired": repaired, "alphas": settings.alphas} | found)
    return {"lines": lines, "stitched": pair.row(method) | stitch(network, a, b, split)}
