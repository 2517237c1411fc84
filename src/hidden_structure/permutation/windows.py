"""The rules of what torchvision's Swin transformers hide from torch.fx (`torch.fx.wrap`), by its functions' names."""

from hidden_structure.permutation import axes, operations
from hidden_structure.permutation.axes import Node
from hidden_structure.permutation.call import Call
from hidden_structure.permutation.operations import Labels


def attention(call: Call) -> Labels:
    """shifted_window_attention: heads, and inside each the units of queries and keys, and those of values.

    Images are (b, H, W, channels); a bias for every head and pair of places, and in version 2 a scale for every head.
    """
    labels, heads = call.labels(), Node(call.get(5, "num_heads"))
    size = axes.size_of(labels[-1]) // heads.size
    matched, carried = ([(heads, Node(size, heads))] for _ in range(2))
    rows, columns = call.labels(1, "qkv_weight")
    axes.unify(rows, matched + matched + carried)
    axes.unify(columns, labels[-1])
    made, read = call.labels(2, "proj_weight")
    axes.unify(read, carried)
    operations.of_last([rows], call.labels(9, "qkv_bias"))
    operations.of_last([made], call.labels(10, "proj_bias"))
    bias, scale = call.labels(3, "relative_position_bias"), call.labels(11, "logit_scale")
    axes.unify(bias[1], [(heads,)])
    if scale is not None:
        axes.unify(scale[0], [(heads,)])
    for axis in (*labels[1:3], *bias[2:]):
        axes.fix(axis)
    call.mix(labels, (1, 2, 3))
    call.read(call.source(), 3)
    for axis in (columns, read):
        call.contract(axis)
    return [*labels[:3], made]


def position_bias(call: Call) -> Labels:
    """_get_relative_position_bias: of a table (entries, heads), (1, heads, places, places)."""
    labels = call.labels(0, "relative_position_bias_table")
    axes.fix(labels[0])
    call.mix(labels, 0)
    one, _, *places = operations.all_fixed(call.value)
    return [one, labels[1], *places]


def merged_patches(call: Call) -> Labels:
    """_patch_merging_pad: the channels of four neighbours, one behind the other."""
    labels = call.labels()
    for axis in labels[-3:-1]:
        axes.fix(axis)
    call.mix(labels, (-3, -2))
    return [*labels[:-3], *operations.all_fixed(call.value)[-3:-1], labels[-1] * 4]
