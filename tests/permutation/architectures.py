"""Small networks of the kinds that people have, written as they write them, and the table of docs/symmetries.md.

`PYTHONPATH=src python tests/permutation/architectures.py` prints the table.
"""

from collections import Counter
from collections.abc import Callable
from math import lgamma, log

import torch
import torch.nn.functional as F
from test_symmetry import randomise, tensors
from torch import Tensor, nn
from torchvision import models as tv
from torchvision.models import swin_transformer
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.efficientnet import MBConvConfig
from torchvision.models.mobilenetv3 import InvertedResidualConfig

from hidden_structure.permutation import permuting
from hidden_structure.permutation.coverage import movable_share
from hidden_structure.permutation.group import Symmetry
from hidden_structure.permutation.linear_maps import LinearMaps
from hidden_structure.permutation.linear_symmetry import derive_maps
from hidden_structure.seeding import global_seed, torch_generator

PIXELS = (3, 3, 8, 8)  # (b, channels, H, W)
TOKENS = (3, 6)  # (b, length), of 11 words
WIDTH, HEADS = 12, 3


class ImageTransformer(nn.Module):
    """A vision transformer: patches, a class token, positions, blocks of the kind given, pooled or not."""

    def __init__(
        self, block: Callable[[], nn.Module], pooled: bool = False, norm: Callable[[int], nn.Module] = nn.LayerNorm
    ) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, WIDTH, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.positions = nn.Parameter(torch.zeros(1, 5, WIDTH))
        self.blocks = nn.ModuleList([block() for _ in range(2)])
        self.norm = norm(WIDTH)
        self.head = nn.Linear(WIDTH, 4)
        self.pooled = pooled

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.head(x.mean(1) if self.pooled else x[:, 0])


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, attention: nn.Module, mlp: nn.Module, norm: Callable[[int], nn.Module] = nn.LayerNorm) -> None:
        super().__init__()
        self.norm1, self.attention = norm(WIDTH), attention
        self.norm2, self.mlp = norm(WIDTH), mlp

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, 16), nn.GELU(), nn.Linear(16, WIDTH))


class Separate(nn.Module):
    """Attention with projections of their own for queries, keys and values; the latter two may have fewer heads."""

    def __init__(self, causal: bool = False, groups: int = HEADS, heads: int = HEADS, rotary: str = "") -> None:
        super().__init__()
        self.heads, self.groups, self.size = heads, groups, WIDTH // heads
        self.query = nn.Linear(WIDTH, WIDTH, bias=False)
        self.key = nn.Linear(WIDTH, groups * self.size, bias=False)
        self.value = nn.Linear(WIDTH, groups * self.size, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.causal, self.rotary = causal, rotary
        if rotary:
            angles = torch.outer(torch.arange(8.0), 100.0 ** -torch.arange(0, 1, 2 / self.size))
            self.register_buffer("cos", angles.cos(), persistent=False)
            self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        b, t, c = x.shape
        q = self.query(x).view(b, t, self.heads, self.size).transpose(1, 2)
        k = self.key(x).view(b, t, self.groups, self.size).transpose(1, 2)
        v = self.value(x).view(b, t, self.groups, self.size).transpose(1, 2)
        if self.rotary:
            q, k = (self.turned(part, self.cos[:t], self.sin[:t]) for part in (q, k))
        if self.groups < self.heads:
            k, v = (part.repeat_interleave(self.heads // self.groups, dim=1) for part in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(y.transpose(1, 2).contiguous().view(b, t, c))

    def turned(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        if self.rotary == "halves":
            x1, x2 = x.chunk(2, dim=-1)
            cos, sin = torch.cat([cos, cos], -1), torch.cat([sin, sin], -1)
            return x * cos + torch.cat([-x2, x1], dim=-1) * sin
        x1, x2 = x[..., ::2], x[..., 1::2]
        return torch.stack([x1 * cos - x2 * sin, x1 * sin + x2 * cos], dim=-1).flatten(-2)


class Fused(nn.Module):
    """Attention with one projection for queries, keys and values, as in timm's vision transformers."""

    def __init__(self, by_hand: bool = False, normed: bool = False) -> None:
        super().__init__()
        self.qkv, self.out, self.by_hand = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH), by_hand
        self.q_norm, self.k_norm = (nn.LayerNorm(WIDTH // HEADS) if normed else nn.Identity() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, HEADS, c // HEADS).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        q, k = self.q_norm(q), self.k_norm(k)
        if self.by_hand:
            x = ((q @ k.transpose(-2, -1)) * (c // HEADS) ** -0.5).softmax(dim=-1) @ v
        else:
            x = F.scaled_dot_product_attention(q, k, v)
        return self.out(x.transpose(1, 2).reshape(b, n, c))


class RMSNorm(nn.Module):
    """As in LLaMA's code."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), 1e-6

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


class Gated(nn.Module):
    """down(activation(gate(x)) * up(x)): SwiGLU and GEGLU."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(WIDTH, 16), nn.Linear(WIDTH, 16), nn.Linear(16, WIDTH)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.activation(self.gate(x)) * self.up(x))


class GEGLU(nn.Module):
    """Both halves from one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, 32), nn.Linear(16, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x, gate = self.up(x).chunk(2, dim=-1)
        return self.down(x * F.gelu(gate))


class CausalAttention(nn.Module):
    """As in nanoGPT."""

    def __init__(self) -> None:
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.size()
        q, k, v = self.c_attn(x).split(WIDTH, dim=2)
        k = k.view(B, T, HEADS, C // HEADS).transpose(1, 2)
        q = q.view(B, T, HEADS, C // HEADS).transpose(1, 2)
        v = v.view(B, T, HEADS, C // HEADS).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=None, dropout_p=0, is_causal=True)
        return self.c_proj(y.transpose(1, 2).contiguous().view(B, T, C))


class Language(nn.Module):
    """A language model that gives the logits of the next word; embedding and head share their weight, if tied."""

    def __init__(
        self,
        block: Callable[[], nn.Module],
        positions: bool = True,
        length: int = 8,
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
        tied: bool = True,
    ) -> None:
        super().__init__()
        self.wte = nn.Embedding(11, WIDTH)
        self.wpe = nn.Embedding(length, WIDTH) if positions else None
        self.blocks, self.length = nn.ModuleList([block() for _ in range(2)]), length
        self.ln_f = norm(WIDTH)
        self.lm_head = nn.Linear(WIDTH, 11, bias=False)
        if tied:
            self.wte.weight = self.lm_head.weight

    def forward(self, idx: Tensor) -> Tensor:
        _, t = idx.size()
        assert t <= self.length, "the sequence is too long"
        x = self.wte(idx)
        if self.wpe is not None:
            x = x + self.wpe(torch.arange(0, t, dtype=torch.long, device=idx.device))
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.ln_f(x))


class Masked(nn.Module):
    """Attention by hand under a causal mask that is a buffer, as in minGPT."""

    def __init__(self) -> None:
        super().__init__()
        self.attn, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.register_buffer("bias", torch.tril(torch.ones(8, 8)).view(1, 1, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        b, t, c = x.size()
        q, k, v = (part.view(b, t, HEADS, c // HEADS).transpose(1, 2) for part in self.attn(x).split(WIDTH, dim=2))
        scores = (q @ k.transpose(-2, -1)) * (1.0 / k.size(-1) ** 0.5)
        scores = scores.masked_fill(self.bias[:, :, :t, :t] == 0, float("-inf"))
        return self.proj((F.softmax(scores, dim=-1) @ v).transpose(1, 2).contiguous().view(b, t, c))


class Encoder(nn.Module):
    """torch.nn's own transformer on tokens."""

    def __init__(self, layers: int, masked: bool = False, **options: object) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 16, batch_first=True, **options)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False) if layers else layer
        self.head, self.masked = nn.Linear(WIDTH, 4), masked

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        if not self.masked:
            return self.head(self.layers(x).mean(1))
        mask = nn.Transformer.generate_square_subsequent_mask(x.size(1), device=x.device, dtype=torch.float64)
        return self.head(self.layers(x, mask, is_causal=True).mean(1))


class Recurrent(nn.Module):
    """A recurrent layer of torch.nn over a sequence of words."""

    def __init__(self, kind: type[nn.Module], last: bool = False, **options: object) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.layer = kind(6, 5, batch_first=True, **options)
        width = (options.get("proj_size") or 5) * (1 + bool(options.get("bidirectional")))
        self.head, self.last = nn.Linear(width, 4), last

    def forward(self, x: Tensor) -> Tensor:
        if self.last:
            _, (hidden, _) = self.layer(self.embed(x))
            return self.head(hidden[-1])
        output, _ = self.layer(self.embed(x))
        return self.head(output[:, -1])


class Mixer(nn.Module):
    """A block of an MLP-Mixer: tokens, then channels."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2, self.channels = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH), mlp()
        self.tokens = nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.Linear(7, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


class UNet(nn.Module):
    """Down twice and up twice, with shortcuts joined; one class a pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.down1, self.down2, self.bottom = self.twice(3, 4), self.twice(4, 6), self.twice(6, 8)
        self.up2, self.up1 = nn.ConvTranspose2d(8, 6, 2, 2), nn.ConvTranspose2d(6, 4, 2, 2)
        self.join2, self.join1 = self.twice(12, 6), self.twice(8, 4)
        self.head = nn.Conv2d(4, 2, 1)

    @staticmethod
    def twice(entering: int, leaving: int) -> nn.Module:
        layers = [nn.Conv2d(entering, leaving, 3, padding=1), nn.BatchNorm2d(leaving), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers, nn.Conv2d(leaving, leaving, 3, padding=1), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        one = self.down1(x)
        two = self.down2(self.pool(one))
        x = self.up2(self.bottom(self.pool(two)))
        x = self.up1(self.join2(torch.cat([two, x], dim=1)))
        return self.head(self.join1(torch.cat([one, x], dim=1)))


def vit(attention: Callable[[], nn.Module], pooled: bool = False) -> nn.Module:
    return ImageTransformer(lambda: Block(attention(), mlp()), pooled)


def gpt(
    attention: Callable[[], nn.Module],
    positions: bool = True,
    gated: Callable[[], nn.Module] = mlp,
    norm: Callable[[int], nn.Module] = nn.LayerNorm,
) -> nn.Module:
    return Language(lambda: Block(attention(), gated(), norm), positions)


def encoder_layers() -> nn.Module:
    return ImageTransformer(lambda: nn.TransformerEncoderLayer(WIDTH, HEADS, 16, batch_first=True))


def mobilenet_v3() -> nn.Module:
    settings = [
        InvertedResidualConfig(8, 3, 8, 8, True, "RE", 2, 1, 0.5),
        InvertedResidualConfig(8, 3, 12, 8, True, "HS", 1, 1, 0.5),
    ]
    return tv.MobileNetV3(settings, 16, num_classes=4)


def efficientnet() -> nn.Module:
    settings = [MBConvConfig(1, 3, 1, 8, 6, 1, 1, 1), MBConvConfig(3, 3, 2, 6, 8, 2, 1, 1)]
    return tv.EfficientNet(settings, dropout=0.1, num_classes=4)


class ZeroPadded(nn.Module):
    """A residual block; where its shortcut gains channels, these are zero (He et al. 2016, option A)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.more, stride = (outputs - inputs) // 2, 1 if inputs == outputs else 2
        self.conv1, self.norm1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        inside = self.norm2(self.conv2(self.norm1(self.conv1(x)).relu()))
        shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more)) if self.more else x
        return (inside + shortcut).relu()


def zero_padded_resnet() -> nn.Module:
    blocks = [ZeroPadded(*sizes) for sizes in ((4, 4), (4, 8), (8, 8), (8, 16))]
    stem = nn.Conv2d(3, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU()
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4))


def swin(**options: object) -> nn.Module:
    return tv.SwinTransformer([2, 2], 8, [2, 2], [2, 4], [2, 2], num_classes=4, **options)


def swin_v2() -> nn.Module:
    return swin(block=swin_transformer.SwinTransformerBlockV2, downsample_layer=swin_transformer.PatchMergingV2)


def convnext() -> nn.Module:
    return tv.ConvNeXt([CNBlockConfig(6, 10, 2), CNBlockConfig(10, None, 1)], num_classes=4)


def regnet() -> nn.Module:
    return tv.RegNet(tv.regnet.BlockParams([1, 1], [8, 16], [4, 8], [1.0, 1.0], [2, 2], 0.25), 4, stem_width=8)


def halves() -> nn.Module:
    return gpt(lambda: Separate(True, rotary="halves"), False, lambda: Gated(F.silu), RMSNorm)


def rms_vit() -> nn.Module:
    return ImageTransformer(lambda: Block(Fused(), mlp(), nn.RMSNorm), norm=nn.RMSNorm)


def llama() -> nn.Module:
    def block() -> nn.Module:
        return Block(Separate(True, rotary="halves"), Gated(F.silu), RMSNorm)

    return Language(block, positions=False, norm=RMSNorm, tied=False)


def pairs() -> nn.Module:
    return gpt(lambda: Separate(True, rotary="pairs"), False, GEGLU, nn.RMSNorm)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "ViT of `nn.MultiheadAttention` (torchvision)": (
        lambda: tv.VisionTransformer(32, 16, 2, 2, 8, 12, num_classes=4),
        (2, 3, 32, 32),
    ),
    "ViT of `nn.TransformerEncoderLayer`": (encoder_layers, PIXELS),
    "ViT, separate projections": (lambda: vit(Separate), PIXELS),
    "ViT, fused qkv (timm)": (lambda: vit(Fused), PIXELS),
    "ViT, fused qkv, softmax by hand": (lambda: vit(lambda: Fused(by_hand=True), pooled=True), PIXELS),
    "ViT, fused qkv, normed queries and keys": (lambda: vit(lambda: Fused(normed=True)), PIXELS),
    "ViT, `nn.RMSNorm`": (rms_vit, PIXELS),
    "Swin (torchvision)": (swin, (2, 3, 16, 16)),
    "Swin V2 (torchvision)": (swin_v2, (2, 3, 16, 16)),
    "MLP-Mixer": (lambda: ImageTransformer(Mixer, pooled=True), PIXELS),
    "`nn.TransformerEncoderLayer`": (lambda: Encoder(0), TOKENS),
    "`nn.TransformerEncoder`, norm first": (lambda: Encoder(2, norm_first=True, activation="gelu"), TOKENS),
    "`nn.TransformerEncoder`, causal mask": (lambda: Encoder(2, masked=True), TOKENS),
    "GPT, embedding tied to the head": (lambda: gpt(CausalAttention), TOKENS),
    "GPT, causal mask as a buffer": (lambda: gpt(Masked), TOKENS),
    "GPT, rotary halves, RMSNorm, SwiGLU": (halves, TOKENS),
    "GPT, rotary pairs, `nn.RMSNorm`, GEGLU": (pairs, TOKENS),
    "LLaMA, a head of its own": (llama, TOKENS),
    "GPT, grouped queries": (lambda: gpt(lambda: Separate(True, 2, 4)), TOKENS),
    "`nn.RNN`": (lambda: Recurrent(nn.RNN), TOKENS),
    "`nn.GRU`, 2 layers": (lambda: Recurrent(nn.GRU, num_layers=2), TOKENS),
    "`nn.LSTM`, last state": (lambda: Recurrent(nn.LSTM, last=True), TOKENS),
    "`nn.LSTM`, both ways, 2 layers": (lambda: Recurrent(nn.LSTM, num_layers=2, bidirectional=True), TOKENS),
    "`nn.LSTM`, projected": (lambda: Recurrent(nn.LSTM, proj_size=3), TOKENS),
    "ResNet, shortcuts padded with zeros (He et al. for CIFAR)": (zero_padded_resnet, PIXELS),
    "ConvNeXt (torchvision)": (convnext, (2, 3, 32, 32)),
    "MobileNetV3, squeeze and excite (torchvision)": (mobilenet_v3, (2, 3, 16, 16)),
    "EfficientNet (torchvision)": (efficientnet, (2, 3, 16, 16)),
    "DenseNet (torchvision)": (lambda: tv.DenseNet(4, (2, 3, 2), 6, bn_size=2, num_classes=4), (2, 3, 32, 32)),
    "ShuffleNetV2 (torchvision)": (lambda: tv.ShuffleNetV2([1, 1, 1], [8, 8, 12, 16, 20], num_classes=4), PIXELS),
    "RegNet, grouped convolutions (torchvision)": (regnet, (2, 3, 16, 16)),
    "U-Net": (UNet, PIXELS),
}


def make(name: str) -> tuple[nn.Module, Tensor]:
    """A network, and two or three images or sequences of words for it."""
    build, shape = NETWORKS[name]
    generator = torch_generator("architectures", *shape)
    with global_seed("architectures", name):
        words = len(shape) == 2
        return build(), torch.randint(11, shape, generator=generator) if words else tensors(*shape)


HEADER = """| network | groups | sizes | log10 of the order | weights that can move |
|---|---|---|---|---|"""


def row(name: str, symmetry: Symmetry, network: nn.Module) -> str:
    """Its line in the table."""
    counts = Counter((group.size, permuting.rows(symmetry, key)) for key, group in symmetry.groups.items())
    parts = []
    for (size, parents), count in sorted(counts.items(), key=lambda item: (item[0][1] is not None, -item[0][0])):
        parts.append(f"{count} x {size}" + (f" in each of {parents}" if parents else ""))
    order = sum(lgamma(size + 1) * (parents or 1) * count for (size, parents), count in counts.items()) / log(10)
    share = movable_share(symmetry, network.state_dict())
    return f"| {name} | {len(symmetry.groups)} | {', '.join(parts)} | {order:.1f} | {share:.0%} |"


MAPS_HEADER = """| network | orthogonal | invertible | scales folded |
|---|---|---|---|"""


def maps_row(name: str, maps: LinearMaps) -> str:
    """Its line in the table of what may be mapped by matrices."""

    def sizes(invertible: bool) -> str:
        found = Counter(
            (maps.symmetry.groups[group].size, permuting.rows(maps.symmetry, group), kind == "centred")
            for group, kind in maps.kinds.items()
            if (kind == "invertible") == invertible
        )
        parts = []
        for (size, parents, centred), count in sorted(found.items(), key=lambda item: -item[0][0]):
            kept = " (ones stay)" if centred else ""
            parts.append(f"{count} x {size}" + (f" in each of {parents}" if parents else "") + kept)
        return ", ".join(parts) or "-"

    return f"| {name} | {sizes(False)} | {sizes(True)} | {len(maps.scales)} |"


def main() -> None:
    derived = {}
    print(HEADER)
    for name in NETWORKS:
        network, example = make(name)
        derived[name] = derive_maps(randomise(network), example)
        print(row(name, derived[name].symmetry, network))
    print(f"\n{MAPS_HEADER}")
    for name, maps in derived.items():
        if maps.kinds:
            print(maps_row(name, maps))


if __name__ == "__main__":
    main()
