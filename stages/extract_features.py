"""Extract the features of the trained and untrained networks: in evaluation mode, of images as they are."""

from itertools import chain
from pathlib import Path

from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Features, Hardware, Network, Seed, Some, Tasks, Train
from hidden_structure.frame.tasks import run
from hidden_structure.frame.workplace import workplace
from hidden_structure.networks.features import PENULTIMATE
from hidden_structure.networks.weights import load_state
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read

NETWORKS = {"fine": "fine", "coarse": "coarse", "untrained": "coarse"}  # name -> supervision


class Reads(Section):
    features: Features
    hardware: Hardware
    network: Network
    seeds: Some[Seed]
    tasks: Tasks
    train: Train | None


@one_line_errors
@alone("extract-features")
def main() -> None:
    study = params.load(reads=Reads)
    if study.train is None:
        artifacts.clear(paths.EXTRACTED)
        return
    inputs = {supervision: read(study.hardware, supervision) for supervision in paths.SUPERVISIONS}
    networks = [(name, seed) for seed in study.seeds for name in NETWORKS]
    first = inputs["fine"]
    described = study.model_dump(include={"features", "network"}) | describe(first.device, first.precision, 1)
    arrays = (array for each in inputs.values() for array in each.arrays)
    states = artifacts.arrays_of(weights(*network) for network in networks)
    with workplace("extract-features", described, chain(arrays, states)) as folder:
        files = {
            paths.features(*network): folder / f"{'-'.join(map(str, network))}.safetensors" for network in networks
        }
        tasks = {
            f"{name} network, seed {seed}": (study, name, seed, files[paths.features(name, seed)])
            for name, seed in networks
        }
        run("features", extract_network, tasks, folder, study.tasks, study.hardware)
        artifacts.publish(paths.EXTRACTED, files)


def extract_network(study: Reads, name: str, seed: int, file: Path) -> None:
    """Write the features of both splits."""
    inputs = read(study.hardware, NETWORKS[name])
    network = inputs.build(study.network)
    load_state(network, artifacts.read_state(weights(name, seed), network))
    network.to(inputs.device)
    layers, tensors = list(dict.fromkeys([PENULTIMATE, *study.features.layers])), {}
    for split in inputs.images:
        extracted = inputs.features(network, split, layers, study.features.batch_size)
        tensors |= {f"{split}/{layer}": values for layer, values in extracted.items()}
    artifacts.write_tensors(file, tensors)


def weights(name: str, seed: int) -> Path:
    return paths.snapshot("coarse", seed, 0) if name == "untrained" else paths.model(NETWORKS[name], seed)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
