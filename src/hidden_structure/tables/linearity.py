"""The tables of layerwise linear feature connectivity (LLFC): the layers, every line between networks, stitchings."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

from hidden_structure.frame.params import Study
from hidden_structure.tables.connectivity import is_plain, nearest_to_half, pair_columns

FLOOR = 1e-6  # 1 - cos of float32 features is known to about 1e-7, so that nothing below this tells anything
CONDITIONS = ("additivity", "commutativity", "weights", "inputs")
LAWS = {"linear": "dissimilarity", "exponential": "exponential"}  # column -> quantity of a layer
DIRECTIONS = ("a_below_b", "b_below_a")


def tabulate(study: Study, results: Callable[[str], Any]) -> dict[str, list[dict]]:
    """Tables by name; none where the study leaves connectivity out.

    layers: of the plain network, in order of execution from 1 on, each with the block that it is part of. features:
    every line, with lists over layers where the network is the plain one. stitching: every pair, by every method; empty
    where the networks have no activation, after which alone they are cut.
    """
    rows = results("linearity")
    if not rows:
        return {}
    plain = next(row for row in rows if is_plain(study, row))
    layers = in_order(plain["layers"])
    places = {layer["name"]: layer["layer"] for layer in layers}
    return {
        "layers": layers,
        "features": [_line(row, is_plain(study, row)) for row in rows],
        "stitching": [
            _stitched(row, places if is_plain(study, row) else None) for row in results("stitch") if row["layers"]
        ],
    }


def in_order(layers: Sequence[Mapping]) -> list[dict]:
    """Layers in order of execution from 1 on, each with the block that it is part of."""
    keys: list[str] = []
    for layer in layers:
        own = _block(layer["name"])
        counted = own == "" or re.search(r"[_:]\d+$", layer["name"])  # by torch.fx or by calls, which is no block
        inherits = "additivity" in layer and counted and "." not in own
        keys.append(keys[-1] if keys and inherits else own)
    blocks = [1]
    for before, key in pairwise(keys):
        blocks.append(blocks[-1] + (key != before))
    return [
        {
            "layer": place,
            "block": block,
            "name": layer["name"],
            "activation": "additivity" in layer,
            "weighted": "commutativity" in layer,
        }
        | ({"depth": layer["depth"]} if "depth" in layer else {})
        for place, (layer, block) in enumerate(zip(layers, blocks, strict=True), 1)
    ]


def _block(name: str) -> str:
    """What the names of a block's layers share: "stages.0.1" of stages.0.1.conv2, "1" of hidden.relu1, else ""."""
    inside = re.match(r"(.*\.\d+)\.", name)
    return inside[1] if inside else "".join(re.findall(r"\d+$", name))


def _line(row: Mapping, plain: bool) -> dict:
    """Ratios are the largest over layers, that of `bend` over alphas too.

    bend: 1 - cos of merged with interpolated features, over 1 - cos of the two ends' own. commutation: the distance of
    W_A H_A + W_B H_B from W_A H_B + W_B H_A, over the smaller of the distances of weights and of inputs. additivity,
    commutativity, weights, inputs: means over layers. union: error of the merged network at its worst alpha, less the
    share of images on which at least one end errs. laws: as bend, of LLFC (linear) and LEWC (exponential) where they
    differ: behind the first weights and at alphas other than 1/2; their lists are means over these alphas.
    """
    layers, half, error = row["layers"], nearest_to_half(row["alphas"]), row["test_error"]

    def over_layers(name: str) -> list[float]:
        return [_mean(layer[name], half) for layer in layers if name in layer]

    ends = over_layers("baseline")
    found = pair_columns(row) | {"repaired": row["repaired"]}
    found["bend"] = max(map(bend, layers))
    found["output"] = _furthest(layers[-1])
    found["union"] = max(error["merged"]) - error["either"]
    found["errors"] = {"ends": [error["a"], error["b"]], "either": error["either"], "merged": max(error["merged"])}
    found["commutation"] = _commutation(layers)
    lists = {name: over_layers(name) for name in CONDITIONS}
    found["condition"] = {name: fmean(values) for name, values in lists.items() if values}
    telling = [index for index, alpha in enumerate(row["alphas"]) if alpha != 0.5]
    told = laws(layers, row["alphas"])
    if told:
        found["laws"] = told
    if plain:
        found["layers"] = {"ends": ends, "dissimilarity": over_layers("dissimilarity")}
        found["layers"] |= {"coefficient": over_layers("coefficient")}
        found["layers"] |= {
            law: [fmean(layer[LAWS[law]][index]["mean"] for index in telling) for layer in layers] for law in told
        }
        found["layers"] |= {} if row["repaired"] else {name: values for name, values in lists.items() if values}
    return found


def bend(layer: Mapping) -> float:
    """1 - cos of merged with interpolated features at the worst alpha, over 1 - cos of the ends'."""
    return _furthest(layer) / max(layer["baseline"]["mean"], FLOOR)


def _furthest(layer: Mapping) -> float:
    return max(stats["mean"] for stats in layer["dissimilarity"])


def laws(layers: Sequence[Mapping], alphas: Sequence[float]) -> dict[str, float]:
    """How far either law is off, as `bend`, at the worst layer behind the first weights and the worst alpha other than
    1/2; nothing where there is none, or LEWC was not measured."""
    telling = [index for index, alpha in enumerate(alphas) if alpha != 0.5]
    deep = [layer for layer in layers if layer.get("depth", 0) > 1]
    if not telling or not deep:
        return {}
    return {
        law: max(
            max(layer[name][index]["mean"] for index in telling) / max(layer["baseline"]["mean"], FLOOR)
            for layer in deep
        )
        for law, name in LAWS.items()
        if name in layers[0]
    }


def _commutation(layers: Iterable[Mapping]) -> float | None:
    """None where in no layer both the weights and the inputs of the ends differ."""
    ratios = []
    for layer in layers:
        if "commutativity" in layer:
            smaller = min(layer["weights"], layer["inputs"]["mean"])
            if smaller > FLOOR:
                ratios.append(layer["commutativity"]["mean"] / smaller)
    return max(ratios, default=None)


def _mean(values: Any, half: int) -> float:
    """Over images, and at the alpha nearest to 1/2 where there is one for each alpha."""
    values = values[half] if isinstance(values, list) else values
    return values["mean"] if isinstance(values, Mapping) else values


def _stitched(row: Mapping, places: Mapping[str, int] | None) -> dict:
    """excess: the highest error of all stitched networks, less the larger end error. places: name -> layer."""
    ends = [row["error_a"], row["error_b"]]
    found = pair_columns(row) | {"ends": ends}
    found["excess"] = max(max(row[direction]) for direction in DIRECTIONS) - max(ends)
    over = {"least": min, "mean": fmean, "most": max}
    found |= {direction: {name: of(row[direction]) for name, of in over.items()} for direction in DIRECTIONS}
    if places is not None:
        found["cuts"] = {"layer": [places[name] for name in row["layers"]]} | {name: row[name] for name in DIRECTIONS}
    return found
