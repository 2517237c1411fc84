"""Train networks as anybody does, in plain PyTorch: checkpoints for `hidden-structure compare` and `inspect`.

    python examples/train_checkpoints.py resnet18 --data cifar10 --seed 0 --out resnet-0.pt

--data: a folder of train/<class>/*.png, or an .npz of train_images uint8 (N, H, W, 3) and train_labels int64 (N,).
Nothing of hidden-structure is used here. What is saved is a plain state dict.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


class ViT(nn.Module):
    """A small vision transformer of PyTorch's own layers."""

    def __init__(self, image_shape=(32, 32, 3), classes=10, patch=4, width=96, depth=4, heads=3):
        super().__init__()
        height, wide, channels = image_shape
        self.embed = nn.Conv2d(channels, width, patch, patch)
        self.positions = nn.Parameter(0.02 * torch.randn(1, (height // patch) * (wide // patch), width))
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        for module in self.blocks.modules():  # nn.TransformerEncoder copies one layer, its weights as well
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images):
        tokens = self.embed(images).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.norm(self.blocks(tokens)).mean(1))


NETWORKS = {"resnet18": lambda: torchvision.models.resnet18(num_classes=10), "vit": ViT}


def read(data: Path) -> tuple[Tensor, Tensor]:
    """Training images uint8 (N, 3, H, W) and labels int64 (N,)."""
    if data.suffix == ".npz":
        with np.load(data) as arrays:
            images, labels = (torch.from_numpy(arrays[f"train_{name}"]) for name in ("images", "labels"))
        return images.permute(0, 3, 1, 2), labels
    folder = torchvision.datasets.ImageFolder(data / "train")
    images = [torch.from_numpy(np.array(image)).permute(2, 0, 1) for image, _ in folder]
    return torch.stack(images), torch.tensor(folder.targets)


def augmented(images: Tensor) -> Tensor:
    """Half of them mirrored, all of them moved by up to 2 pixels."""
    images = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images, images.flip(3))
    down, right = torch.randint(-2, 3, (2,)).tolist()
    return images.roll((down, right), (2, 3))


def problem(asked: argparse.Namespace, images: Tensor, labels: Tensor) -> str:
    """Why no network can be trained; empty if one can."""
    if images.shape[1:] != (3, 32, 32):
        return f"images of {' x '.join(map(str, images.shape[1:]))}, where these networks see 3 x 32 x 32"
    if asked.images is not None and asked.images < 0:
        return f"--images {asked.images}: give 128 or more"
    if (count := len(images[: asked.images])) < 128:
        return f"{count} images, where a batch has 128: give more"
    if labels.min() < 0 or labels.max() > 9:
        return f"labels from {labels.min()} to {labels.max()}, where these networks tell 10 classes apart"
    if asked.epochs < 1:
        return f"--epochs {asked.epochs}: give one or more"
    parent = asked.out.parent
    return "" if parent.is_dir() else f"--out {asked.out}: there is no folder {parent}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, help="training images, drawn at random (default: all)")
    asked = parser.parse_args()

    try:
        images, labels = read(asked.data)
    except Exception as error:  # of numpy, Pillow and torchvision, a dozen types
        parser.error(f"--data {asked.data} is neither such a folder nor such an .npz: {' '.join(str(error).split())}")
    if wrong := problem(asked, images, labels):
        parser.error(wrong)
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[: asked.images]
    images, labels = images[chosen].float() / 127.5 - 1, labels[chosen]  # pixels in -1 to 1
    torch.manual_seed(asked.seed)
    network = NETWORKS[asked.network]()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    steps = asked.epochs * (len(images) // 128)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
    for epoch in range(asked.epochs):
        right = 0
        for batch in torch.randperm(len(images)).split(128)[: len(images) // 128]:
            logits = network(augmented(images[batch]))
            optimizer.zero_grad()
            cross_entropy(logits, labels[batch]).backward()
            optimizer.step()
            schedule.step()
            right += int((logits.argmax(1) == labels[batch]).sum())
        print(f"epoch {epoch + 1} of {asked.epochs}: {right / (steps // asked.epochs * 128):.3f} of the images right")
    torch.save(network.state_dict(), asked.out)


if __name__ == "__main__":
    main()
