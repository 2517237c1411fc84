"""What the unconstrained features model says of a trained network, from its last layer's norms and weight decay alone.

In the model's optimum under cross-entropy (`unconstrained/model.py`) rows of norm w and features of norm h meet in a
simplex, so that the logit of the right class exceeds a wrong one's by w h C/(C-1), and a wrong class has the
probability c = lambda_W w/h: that is sqrt(n lambda_W lambda_H) with the lambda_H that would make such norms the
optimum, w^2/h^2 = n lambda_H/lambda_W. A network decays no features, but its last layer is decayed as in the model and
must balance it at the end of training: so c is a prediction, of a network that has no lambda_H.
"""

import torch
from torch import Tensor

from hidden_structure.frame.arrays import check_finite, check_rows, samples_of
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Train

CHUNK_VALUES = 2**18  # features read at once


def beside(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor | None, train: Train) -> dict[str, float]:
    """What `measure` finds and, as `wrong_model` and `gap_model`, what the model predicts of these norms.

    wrong is less what smoothed labels give a wrong class: the rest is what the decay pulls it up by.

    train: by which the network was trained.
    """
    found = measure(features, labels, weight, bias)
    norms = found["row_norm"], found["feature_norm"]
    model = predicted(len(weight), *norms, head_decay(train))
    found["wrong"] -= train.label_smoothing / len(weight)  # what labels give a wrong class is no matter of the decay
    return found | {f"{name}_model": value for name, value in model.items()}


@torch.no_grad()
def measure(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor | None) -> dict[str, float]:
    """Of a network's training set, in float64.

    row_norm, feature_norm: root mean squares of ||w_c|| and of ||h_i - mean||, whose constant part the bias can undo.
    wrong: mean probability of a wrong class. gap: mean logit of the right class less the mean of the wrong ones.

    Args:
        features: floats (N, d). labels: int64 (N,) in 0..C-1. weight, bias: (C, d) and (C,) or None.

    Raises InputError if they are of other shapes, there is one class, or features are not finite.
    """
    check_rows("weight", weight)
    features, labels = samples_of(features, labels, len(weight))
    check_rows("features", features, weight.shape[1])
    check_finite("the features", features)
    if len(weight) < 2:
        raise InputError("weight has 1 row, one a class: a wrong class takes two")
    classes, rows = len(weight), max(1, CHUNK_VALUES // features.shape[1])
    weight = weight.double()
    bias = weight.new_zeros(classes) if bias is None else bias.double()
    mean = sum(part.double().sum(0) for part in features.split(rows)) / len(features)
    squares = wrong = gap = 0.0
    for part, own in zip(features.split(rows), labels.split(rows), strict=True):
        inputs = part.double()
        logits = inputs @ weight.T + bias
        right = logits.gather(1, own[:, None])[:, 0]
        squares += (inputs - mean).square().sum().item()
        others = logits.scatter(1, own[:, None], -torch.inf).logsumexp(1) - logits.logsumexp(1)
        wrong += others.exp().sum().item() / (classes - 1)
        gap += (right - (logits.sum(1) - right) / (classes - 1)).sum().item()
    count = len(features)
    return {
        "row_norm": weight.square().sum(1).mean().sqrt().item(),
        "feature_norm": (squares / count) ** 0.5,
        "wrong": wrong / count,
        "gap": gap / count,
    }


def predicted(classes: int, row_norm: float, feature_norm: float, weight_decay: float) -> dict[str, float]:
    """The model's `gap` of these norms, and its probability of a `wrong` class at this decay of the last layer."""
    pull = weight_decay * row_norm / feature_norm if feature_norm else float("inf")
    return {"gap": row_norm * feature_norm * classes / (classes - 1), "wrong": pull}


def head_decay(train: Train) -> float:
    """lambda_W: the penalty on the last layer is half of it times its squared norm."""
    return train.weight_decay / (train.others_rate if train.optimizer == "muon" else 1.0)
