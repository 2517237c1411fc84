"""Symmetries of the networks of timm and of Hugging Face, with random weights: as large as the document says."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from architectures import HEADER, PIXELS, TOKENS, row
from test_symmetry import check, tensors
from torch import Tensor, nn

from hidden_structure.seeding import global_seed, torch_generator

DOCUMENT = Path(__file__).parents[2] / "docs" / "symmetries.md"
WIDTH, HEADS = 12, 3


class Logits(nn.Module):
    """A network of Hugging Face's as one of sequences of words alone, all of whose words are read."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, words: Tensor) -> Tensor:
        return self.model(input_ids=words, attention_mask=torch.ones_like(words)).logits


def vit() -> nn.Module:
    models = pytest.importorskip("timm.models")
    return models.VisionTransformer(8, 4, num_classes=4, embed_dim=WIDTH, depth=2, num_heads=HEADS, mlp_ratio=4 / 3)


def convnext() -> nn.Module:
    return pytest.importorskip("timm.models").ConvNeXt(num_classes=4, depths=(1, 1, 1, 1), dims=(6, 8, 10, WIDTH))


def mixer() -> nn.Module:
    models = pytest.importorskip("timm.models")
    return models.MlpMixer(num_classes=4, img_size=8, patch_size=4, num_blocks=2, embed_dim=WIDTH)


def mobilenet_v3() -> nn.Module:
    return pytest.importorskip("timm").create_model("mobilenetv3_small_050", num_classes=4)


def swin() -> nn.Module:
    sizes = {"embed_dim": 8, "depths": (2, 2), "num_heads": (2, 4), "window_size": 2}
    return pytest.importorskip("timm.models").SwinTransformer(16, 2, num_classes=4, **sizes)


def bert() -> nn.Module:
    library = pytest.importorskip("transformers")
    sizes = {"vocab_size": 11, "hidden_size": WIDTH, "intermediate_size": 16, "max_position_embeddings": 8}
    kind = library.BertConfig(num_hidden_layers=2, num_attention_heads=HEADS, num_labels=4, **sizes)
    return Logits(library.BertForSequenceClassification(kind))


def gpt2() -> nn.Module:
    library = pytest.importorskip("transformers")
    sizes = {"vocab_size": 11, "n_positions": 8, "n_embd": WIDTH, "n_layer": 2, "n_head": HEADS, "n_inner": 16}
    kind = library.GPT2Config(use_cache=False, bos_token_id=None, eos_token_id=None, **sizes)
    return Logits(library.GPT2LMHeadModel(kind))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "timm's ViT": (vit, PIXELS),
    "timm's ConvNeXt": (convnext, (2, 3, 32, 32)),
    "timm's MLP-Mixer": (mixer, PIXELS),
    "timm's MobileNetV3, `mobilenetv3_small_050`": (mobilenet_v3, (2, 3, 32, 32)),
    "timm's Swin": (swin, (2, 3, 16, 16)),
    "Hugging Face's BERT, a class a sequence": (bert, TOKENS),
    "Hugging Face's GPT-2": (gpt2, TOKENS),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of the libraries
@pytest.mark.parametrize("name", NETWORKS)
def test_the_document_says_what_is_derived_of_a_librarys_networks(name):
    build, shape = NETWORKS[name]
    with global_seed("libraries", name):
        network = build()
    words = torch.randint(11, shape, generator=torch_generator("libraries", name))
    symmetry = check(network, words if len(shape) == 2 else tensors(*shape))
    assert row(name, symmetry, network) in DOCUMENT.read_text(encoding="utf-8").splitlines()


def test_the_document_lists_these_networks():
    *_, rest = DOCUMENT.read_text(encoding="utf-8").split(HEADER)
    lines = rest.strip().split("\n\n")[0].splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == list(NETWORKS)
