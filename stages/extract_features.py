"""Extract the features of the trained and untrained networks: in evaluation mode, of images as they are."""

from hidden_structure import artifacts, params, paths
from hidden_structure.batches import evaluation_batches, on_device
from hidden_structure.device import autocast, compute_deterministically, pick_device, pick_precision
from hidden_structure.errors import one_line_errors
from hidden_structure.features import PENULTIMATE, extract
from hidden_structure.networks.build import build
from hidden_structure.progress import track


@one_line_errors
def main() -> None:
    study = params.load()
    compute_deterministically()
    device = pick_device(study.hardware)
    precision = pick_precision(study.hardware, device)
    data = artifacts.read_arrays(paths.DATA)
    classes = {s: len(artifacts.read_arrays(paths.labels(s))["names"]) for s in paths.SUPERVISIONS}
    splits = {s: on_device(data[f"{s}_images"], data["mean"], data["std"], device) for s in ("train", "test")}
    layers = list(dict.fromkeys([PENULTIMATE, *study.features.layers]))

    networks = [(name, seed) for seed in study.seeds for name in ("fine", "coarse", "untrained")]
    for name, seed in track(networks, "features"):
        supervision = "fine" if name == "fine" else "coarse"
        network = build(study.network, data["train_images"].shape[1:], classes[supervision])
        weights = paths.snapshot("coarse", seed, 0) if name == "untrained" else paths.model(supervision, seed)
        network.load_state_dict(artifacts.read_tensors(weights))
        network.to(device)
        tensors = {}
        for split, images in splits.items():
            batches = evaluation_batches(images, study.features.batch_size)
            with autocast(device, precision):
                extracted = extract(network, batches, layers, len(images.pixels))
            tensors |= {f"{split}/{layer}": values for layer, values in extracted.items()}
        artifacts.write_tensors(paths.features(name, seed), tensors)


if __name__ == "__main__":
    main()
