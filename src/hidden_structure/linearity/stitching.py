"""Stitching: the lower layers of one network under the upper layers of another, without an adapter between them.

Lenc and Vedaldi 2015; Bansal, Nakkiran, Barak 2021. Zhou et al. 2023 (arXiv 2307.08286, section 5) stitch networks that
are linearly connected: where the features of both interpolate linearly, one can go on where the other stopped.
"""

from typing import Any

import torch
from torch import nn

from hidden_structure.connectivity.line import Split, State, batch_size_for
from hidden_structure.frame.errors import InputError
from hidden_structure.linearity.in_step import InStep
from hidden_structure.linearity.layers import is_activation, with_state
from hidden_structure.networks.weights import refuse_not_finite
from hidden_structure.training.batches import as_split

UPPER = ("a_below_b", "b_below_a")


@torch.no_grad()
def stitch(network: nn.Module, a: State, b: State, split: Split) -> dict[str, Any]:
    """Test error of the networks stitched after every activation, in both directions, and of the two themselves.

    What passes around the cut, as a shortcut does, comes from the lower network too; parameters read above it, also
    those read below it as well, are the upper's.

    a, b: state dicts; b permuted towards a where the pair is aligned. network: their architecture; left as it is.

    Returns layers (names, in order of execution), a_below_b and b_below_a (an error each), error_a and error_b.

    Raises InputError if torch.fx cannot trace the network, or not as it is, the states do not fit, a label is of no
    class, or the networks put out NaN.
    """
    split = as_split("the images", split)
    images, labels = split
    in_step = InStep([with_state(network, state) for state in (a, b)], images.normalise(images.pixels[:2]))
    cuts = [node for node in in_step.nodes if node in in_step.of_images and is_activation(in_step.module, node)]
    wrong = {name: [0] * len(cuts) for name in UPPER}
    ends, size = [0, 0], batch_size_for(in_step.networks[0], {"the images": split}, torch.float32, compared=True)
    for pixels, targets in zip(images.pixels.split(size), labels.split(size), strict=True):
        for node in in_step.start(images.normalise(pixels)):
            outputs = in_step.advance(node)
            if node in cuts:
                for lower, name in enumerate(UPPER):
                    logits = in_step.finish(lower, 1 - lower, node)
                    wrong[name][cuts.index(node)] += int((logits.argmax(1) != targets).sum())
        if any(logits.isnan().any() for logits in outputs):
            refuse_not_finite(a, b)
            raise InputError("the networks put out NaN: did a training diverge?")
        ends = [count + int((logits.argmax(1) != targets).sum()) for count, logits in zip(ends, outputs, strict=True)]
    errors = {name: [count / len(labels) for count in counts] for name, counts in wrong.items()}
    ends = dict(zip(("error_a", "error_b"), (count / len(labels) for count in ends), strict=True))
    return {"layers": [in_step.names[node] for node in cuts]} | errors | ends
