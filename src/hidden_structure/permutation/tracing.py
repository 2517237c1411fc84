"""A network run once under torch.fx, with each operation saying which axes it permutes alike.

An operation that does not commute with permutations, or is not known, is an error that names it, unless all that goes
into it is fixed already.
"""

from typing import Any

from torch import Tensor, fx, nn

from hidden_structure.errors import InputError
from hidden_structure.permutation import axes, operations
from hidden_structure.permutation.axes import Axis
from hidden_structure.permutation.operations import (
    ALONG_A_DIMENSION,
    ALONG_A_DIMENSION_MODULES,
    CONVOLUTIONS,
    NORMS_OF_CHANNELS,
    POINTWISE,
    POINTWISE_MODULES,
    POOLING,
    POOLING_MODULES,
    REDUCTIONS,
    Labels,
)


class Tracer(fx.Interpreter):
    """Runs the network on a small batch and keeps, for each node of its graph, the axes of what it gives.

    tensors: of every parameter and buffer that was met, by identity, its axes.
    readings: what is read by weights: (node, dimension, axis, how), where `how` is None for the node's own output, or
    (attention module, "q" | "k" | "v") for what the module computes inside from it.
    joint: of every product and pointwise operation, its operands' axes by what they run along together.
    mixed: labels, and the dimensions along which an operation mixed their entries; None: along each.
    """

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.labels: dict[fx.Node, Labels] = {}
        self.tensors: dict[int, list[Axis]] = {}
        self.readings: list[tuple[str, int, Axis, tuple[str, str] | None]] = []
        self.joint: list[list[dict[str, Axis]]] = []
        self.mixed: list[tuple[list[Axis], set[int] | None]] = []

    def run_node(self, node: fx.Node) -> Any:
        value = super().run_node(node)
        try:
            self.labels[node] = self._label(node, value)
        except (InputError, AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            reason = str(error) if isinstance(error, InputError) else "its arguments are of an unknown form"
            raise InputError(_not_understood(self.module, node, reason)) from error
        return value

    def parameter(self, tensor: Tensor) -> list[Axis]:
        if id(tensor) not in self.tensors:
            self.tensors[id(tensor)] = [axes.free_axis(size) for size in tensor.shape]
        return self.tensors[id(tensor)]

    def _label(self, node: fx.Node, value: Any) -> Labels:
        if node.op == "placeholder":
            return operations.all_fixed(value)
        if node.op == "output":
            for labels in operations.flat(fx.node.map_arg(node.args[0], lambda argument: self.labels[argument])):
                axes.fix(labels)
            return None
        if node.op == "get_attr":
            return self.parameter(value) if isinstance(value, Tensor) else None
        if not _tensors(value):
            return None
        if node.op == "call_module":
            module = self.module.get_submodule(node.target)
            return self._module(node, module, value)
        name = node.target if node.op == "call_method" else node.target.__name__
        return self._function(node, name.strip("_"), value)

    def _of(self, argument: Any) -> Any:
        """The labels of an argument; None where it is no tensor."""
        return self.labels[argument] if isinstance(argument, fx.Node) else None

    def _argument(self, node: fx.Node, position: int, *names: str, default: Any = None) -> Any:
        """An argument by position or name; a value where it is no tensor, and a node where it is one."""
        found = node.args[position] if position < len(node.args) else default
        for name in names:
            found = node.kwargs.get(name, found)
        return fx.node.map_arg(found, lambda inner: inner if self._of(inner) is not None else self.env[inner])

    def _unknown(self, node: fx.Node, value: Any) -> Labels:
        for argument in node.all_input_nodes:
            if argument.op == "get_attr":  # what is made of parameters alone, such as a table of biases, stays as it is
                for axis in operations.flat(self._of(argument)):
                    axes.fix(axis)
            if not all(map(axes.is_fixed, operations.flat(self._of(argument)))):
                raise InputError("it is not known which permutations it commutes with")
        return operations.all_fixed(value)

    def _module(self, node: fx.Node, module: nn.Module, value: Any) -> Labels:
        source = self._argument(node, 0, "input", "query", "x")
        labels, kind = self._of(source), type(module).__name__
        if isinstance(module, nn.MultiheadAttention):
            return self._attention(node, module, value)
        if isinstance(module, nn.Flatten | nn.Unflatten):
            return axes.reshaped(labels, list(value.shape))
        if isinstance(module, POINTWISE_MODULES):
            return labels
        if isinstance(module, ALONG_A_DIMENSION_MODULES):
            return self._mix(labels, module.dim)
        if isinstance(module, POOLING_MODULES):
            return operations.pooling(labels, value, operations.spatial(kind, labels))
        known = (nn.Linear, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm, nn.PReLU, nn.Embedding)
        if not isinstance(module, known + CONVOLUTIONS + NORMS_OF_CHANNELS):
            for tensor in (*module.parameters(), *module.buffers()):
                for axis in self.parameter(tensor):
                    axes.fix(axis)
            return self._unknown(node, value)
        weight, bias = (self._of_tensor(getattr(module, name, None)) for name in ("weight", "bias"))
        if isinstance(module, nn.Linear):
            return self._linear(source, weight, bias)
        if isinstance(module, CONVOLUTIONS):
            return self._convolution(source, weight, bias, module.groups, value)
        if isinstance(module, NORMS_OF_CHANNELS):
            running = (self._of_tensor(tensor) for tensor in (module.running_mean, module.running_var))
            self._mix(labels, [0, *range(2, len(labels))])
            return operations.of_channels(labels, weight, bias, *running)
        if isinstance(module, nn.GroupNorm):
            return operations.group_norm(labels, module.num_groups, weight, bias)
        if isinstance(module, nn.LayerNorm | nn.RMSNorm):
            self._mix(labels, list(range(-len(module.normalized_shape), 0)))
            return operations.layer_norm(labels, weight, bias)
        if isinstance(module, nn.PReLU):
            return operations.of_channels(labels, weight if module.num_parameters > 1 else None)
        axes.fix(weight[0])  # the table of an embedding
        return [*labels, weight[1]]

    def _mix(self, labels: list[Axis], dims: int | list[int] | tuple[int, ...] | None) -> list[Axis]:
        listed = [dims] if isinstance(dims, int) else dims
        self.mixed.append((labels, None if listed is None else {dim % len(labels) for dim in listed}))
        return labels

    def _together(self, equation: str, operands: list[list[Axis]]) -> list[Axis]:
        result, terms = operations.einsum(equation, operands)
        self.joint.append(terms)
        return result

    def _product(self, left: list[Axis], right: list[Axis]) -> list[Axis]:
        return self._together(operations.product(left, right), [left, right])

    def _pointwise(self, operands: list[list[Axis]]) -> list[Axis]:
        return self._together(operations.pointwise(operands), operands)

    def _of_tensor(self, tensor: Tensor | None) -> list[Axis] | None:
        return self.parameter(tensor) if isinstance(tensor, Tensor) else None

    def _linear(self, source: fx.Node, weight: list[Axis], bias: list[Axis] | None) -> Labels:
        self._read(source, len(self._of(source)) - 1)
        return operations.linear(self._of(source), weight, bias)

    def _convolution(
        self, source: fx.Node, weight: list[Axis], bias: list[Axis] | None, groups: int, value: Tensor
    ) -> Labels:
        self._read(source, operations.channel_of(self._of(source), weight))
        return operations.convolution(self._of(source), weight, bias, groups, value)

    def _read(self, source: fx.Node, dimension: int) -> None:
        self.readings.append((source.name, dimension, self._of(source)[dimension], None))

    def _attention(self, node: fx.Node, module: nn.MultiheadAttention, value: tuple) -> Labels:
        sources = [self._argument(node, index, name) for index, name in enumerate(("query", "key", "value"))]
        query, key, values = map(self._of, sources)
        samples, places = (0, 1) if module.batch_first else (1, 0)
        places = places if len(query) == 3 else 0
        if len(query) == 3:
            axes.unify(query[samples], key[samples])
            axes.unify(key[samples], values[samples])
        axes.unify(key[places], values[places])
        masks = [self._argument(node, at, name) for at, name in ((3, "key_padding_mask"), (5, "attn_mask"))]
        if any(mask is not None for mask in masks):
            for axis in (*query[:-1], *key[:-1], *(axis for mask in masks for axis in operations.flat(self._of(mask)))):
                axes.fix(axis)
        matched, carried = operations.attention_units(module)
        inside = (matched, matched, carried)
        if any(mask is not None for mask in masks):
            axes.fix([matched[0][:1]])  # a mask may differ from head to head
        if module.in_proj_weight is not None:
            rows, columns = self.parameter(module.in_proj_weight)
            axes.unify(rows, matched + matched + carried)
            for labels in (query, key, values):
                axes.unify(columns, labels[-1])
        else:
            projections = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
            for tensor, axis, labels in zip(projections, inside, (query, key, values), strict=True):
                axes.unify(self.parameter(tensor)[0], axis)
                axes.unify(self.parameter(tensor)[1], labels[-1])
        if module.in_proj_bias is not None:
            axes.unify(self.parameter(module.in_proj_bias)[0], matched + matched + carried)
        for tensor, axis in ((module.bias_k, matched), (module.bias_v, carried)):
            if tensor is not None:
                axes.unify(self.parameter(tensor)[2], axis)
        last = len(query) - 1
        for source, axis, part in zip(sources, inside, "qkv", strict=True):
            self._read(source, last)
            self.readings.append((source.name, last, axis, (node.target, part)))
        weight, bias = self.parameter(module.out_proj.weight), self._of_tensor(module.out_proj.bias)
        result = operations.linear([*query[:-1], carried], weight, bias)
        if value[1] is None:
            return result, None
        seen = key[places]
        if value[1].shape[-1] != axes.size_of(seen):  # a learned key, or one of zeros, comes behind the others
            axes.fix(seen)
            seen = axes.fixed_axis(value[1].shape[-1])
        weights = [query[places], seen]
        if len(query) == 3:
            weights.insert(0, query[samples])
        if value[1].dim() > len(weights):
            weights.insert(-2, [matched[0][:1]])
        return result, weights

    def _function(self, node: fx.Node, name: str, value: Any) -> Labels:
        source = self._argument(node, 0, "input", "x", "tensors", "operands")
        labels = self._of(source)

        def labelled(*arguments: tuple[int, str]) -> list[Labels]:
            return [self._of(self._argument(node, position, name)) for position, name in arguments]

        if name in POINTWISE:
            operands = [self._of(argument) for argument in node.all_input_nodes]
            return self._pointwise([operand for operand in operands if operand is not None])
        if name in ALONG_A_DIMENSION:
            return self._mix(labels, self._argument(node, 2 if name == "normalize" else 1, "dim", default=1))
        if name == "pad":
            return operations.pooling(labels, value, len(self._argument(node, 1, "pad")) // 2)
        if name in POOLING:
            return operations.pooling(labels, value, operations.spatial(name, labels))
        if name in REDUCTIONS and isinstance(value, Tensor):
            return operations.reduction(labels, self._argument(node, 1, "dim", "axis"), value)
        if name == "linear":
            return self._linear(source, *labelled((1, "weight"), (2, "bias")))
        if name in ("conv1d", "conv2d", "conv3d"):
            weight, bias = labelled((1, "weight"), (2, "bias"))
            return self._convolution(source, weight, bias, self._argument(node, 6, "groups", default=1), value)
        if name == "layer_norm":
            self._mix(labels, list(range(-len(self._argument(node, 1, "normalized_shape")), 0)))
            return operations.layer_norm(labels, *labelled((2, "weight"), (3, "bias")))
        if name == "batch_norm":
            self._mix(labels, [0, *range(2, len(labels))])
            own = labelled((1, "running_mean"), (2, "running_var"), (3, "weight"), (4, "bias"))
            return operations.of_channels(labels, *own)
        if name in ("flatten", "reshape", "view", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as"):
            return axes.reshaped(labels, list(value.shape))
        if name in ("permute", "transpose", "swapaxes", "swapdims", "t", "movedim", "moveaxis"):
            arguments = [self._argument(node, index) for index in range(1, len(node.args))]
            options = {name: self._argument(node, 99, name) for name in node.kwargs if name != "input"}
            return operations.reordered(name, labels, arguments, options)
        if name in ("cat", "concat", "concatenate"):
            parts = [part for part in map(self._of, source) if part]
            return operations.concatenated(parts, self._argument(node, 1, "dim", "axis", default=0))
        if name in ("chunk", "split", "unbind", "tensor_split"):
            position = 1 if name == "unbind" else 2
            return operations.sectioned(labels, self._argument(node, position, "dim", default=0), value)
        if name == "getitem":
            index = self._argument(node, 1)
            if isinstance(labels, tuple):
                return labels[index]
            found = operations.indexed(labels, list(index) if isinstance(index, tuple) else [index])
            return self._unknown(node, value) if found is None else found
        if name in ("expand", "expand_as", "broadcast_to"):
            return operations.expanded(labels, value)
        if name in ("matmul", "bmm", "mm"):
            return self._product(labels, *labelled((1, "other" if name == "matmul" else "mat2")))
        if name == "scaled_dot_product_attention":
            key, values, mask = labelled((1, "key"), (2, "value"), (3, "attn_mask"))
            scores = self._product(labels, [*key[:-2], key[-1], key[-2]])
            if mask is not None:
                scores = self._pointwise([scores, mask])
            if self._argument(node, 5, "is_causal"):
                for axis in scores[-2:]:
                    axes.fix(axis)
            return self._product(self._mix(scores, -1), values)
        if name == "einsum":
            operands = node.args[1] if isinstance(node.args[1], list | tuple) else node.args[1:]
            return self._together(str(node.args[0]), list(map(self._of, operands)))
        return self._unknown(node, value)


def _tensors(value: Any) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, tuple | list) and any(map(_tensors, value)))


def _not_understood(module: nn.Module, node: fx.Node, reason: str) -> str:
    what = type(module.get_submodule(node.target)).__name__ if node.op == "call_module" else str(node.target)
    return f"the permutation symmetries of node {node.name} ({what}) cannot be derived: {reason}"
