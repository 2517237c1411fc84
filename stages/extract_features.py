"""Extract the features of the trained and untrained networks: in evaluation mode, of images as they are."""

from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.progress import track
from hidden_structure.frame.sections import Features, Hardware, Network, Section, Seed, Some, Train
from hidden_structure.networks.features import PENULTIMATE, extract
from hidden_structure.networks.weights import load_state
from hidden_structure.training.batches import evaluation_batches
from hidden_structure.training.device import autocast
from hidden_structure.training.inputs import read


class Reads(Section):
    features: Features
    hardware: Hardware
    network: Network
    seeds: Some[Seed]
    train: Train | None


@one_line_errors
@alone("extract-features")
def main() -> None:
    study = params.load(reads=Reads)
    if study.train is None:
        artifacts.clear(paths.EXTRACTED)
        return
    both = {supervision: read(study.hardware, supervision) for supervision in paths.SUPERVISIONS}
    layers = list(dict.fromkeys([PENULTIMATE, *study.features.layers]))

    networks = [(name, seed) for seed in study.seeds for name in ("fine", "coarse", "untrained")]
    for name, seed in track(networks, "features"):
        supervision = "fine" if name == "fine" else "coarse"
        inputs = both[supervision]
        network = inputs.build(study.network)
        weights = paths.snapshot("coarse", seed, 0) if name == "untrained" else paths.model(supervision, seed)
        load_state(network, artifacts.read_state(weights, network))
        network.to(inputs.device)
        tensors = {}
        for split, images in inputs.images.items():
            batches = evaluation_batches(images, study.features.batch_size)
            with autocast(inputs.device, inputs.precision):
                extracted = extract(network, batches, layers, len(images.pixels))
            tensors |= {f"{split}/{layer}": values for layer, values in extracted.items()}
        artifacts.write_tensors(paths.features(name, seed), tensors)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
