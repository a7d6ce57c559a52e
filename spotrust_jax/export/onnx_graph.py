"""A function of jax as an ONNX graph, as far as the network without batch norm needs it: convolutions, upsampling by a
whole number, and arithmetic between cells and constants.

Everything that does not depend on the function's arguments is computed here and becomes a constant. Arrays of four
axes are [batch, channel, height, width] in the graph, as ONNX has them, and [batch, height, width, channel] in jax.
Needs the extra `onnx`.
"""

from collections.abc import Callable
from typing import Any, cast

import jax
import numpy as np
import onnx
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal
from jaxtyping import Array
from onnx import TensorProto, helper, numpy_helper

from spotrust_jax.models.resize import Interpolation

# Resize with `cubic_coeff_a` and Squeeze with axes as an input; onnxruntime reads both since 2023.
_OPSET, _IR_VERSION = 18, 9

_SAME = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "min": "Min", "tanh": "Tanh", "sqrt": "Sqrt"}

Value = str | np.ndarray
"""A name in the graph, or what is known while the graph is made, with jax's order of axes."""


def onnx_model(
    function: Callable[..., dict[str, Array]], inputs: dict[str, jax.ShapeDtypeStruct], interpolation: Interpolation
) -> onnx.ModelProto:
    """The graph of `function`, which takes arrays by name and gives arrays by name.

    Args:
        function: all its upsampling is by `interpolation`.
        inputs: shapes to trace it with, batch 1 and square; the graph takes any batch, height and width, as far as
            `function` itself does. Images of 3 channels keep jax's order of axes.
        interpolation: of upsampling.

    Raises:
        NotImplementedError: where the function does what this module has no word for.
    """
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(inputs)
    graph = _Graph(interpolation)
    # Tracing sorts names, here and below.
    values: list[Value] = [
        graph.channels_first(name) if inputs[name].shape[-1] == 3 else name for name in sorted(inputs)
    ]
    results = graph.run(closed, values)
    for name, result in zip(sorted(shapes), results, strict=True):
        graph.node("Identity", [result], name)
    infos = [_info(name, inputs[name], channels_first=inputs[name].shape[-1] != 3) for name in sorted(inputs)]
    outputs = [_info(name, shapes[name], channels_first=True) for name in sorted(shapes)]
    body = helper.make_graph(graph.nodes, "spotrust", infos, outputs, graph.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    return model


def _info(name: str, like: jax.ShapeDtypeStruct, *, channels_first: bool) -> onnx.ValueInfoProto:
    """Name, type and shape of an input or output; batch, height and width are free."""
    batch, height, width, *channels = "batch", f"{name}_height", f"{name}_width", *like.shape[3:]
    shape = [batch, *channels, height, width] if channels_first else [batch, height, width, *channels]
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(like.dtype), shape)


class _Graph:
    """Nodes and constants as they are made."""

    def __init__(self, interpolation: Interpolation):
        self.nodes, self.constants = [], []
        self._interpolation = interpolation

    def node(self, kind: str, inputs: list[Value], output: str | None = None, **attributes: Any) -> str:
        """Appends a node and gives the name of its output."""
        output = output or f"value{len(self.nodes)}"
        names = [x if isinstance(x, str) else self.constant(x) for x in inputs]
        self.nodes.append(helper.make_node(kind, names, [output], **attributes))
        return output

    def constant(self, value: np.ndarray) -> str:
        """Appends a constant, with ONNX's order of axes."""
        value = np.asarray(value)
        ordered = value.transpose(0, 3, 1, 2) if value.ndim == 4 else value
        return self.raw_constant(ordered)

    def raw_constant(self, value: np.ndarray) -> str:
        """Appends a constant as it is."""
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def channels_first(self, name: str) -> str:
        """Images [batch, height, width, channel] with ONNX's order of axes."""
        return self.node("Transpose", [name], perm=(0, 3, 1, 2))

    def run(self, closed: ClosedJaxpr, inputs: list[Value]) -> list[Value]:
        """Values of a function's outputs."""
        jaxpr: Jaxpr = closed.jaxpr
        values = dict(zip(jaxpr.invars, inputs, strict=True))
        values.update(zip(jaxpr.constvars, map(np.asarray, closed.consts), strict=True))

        def read(variable: Any) -> Value:
            if isinstance(variable, Literal):
                return np.asarray(variable.val, cast(Any, variable.aval).dtype)
            return values[variable]

        for equation in jaxpr.eqns:
            outputs = self._apply(equation, [read(variable) for variable in equation.invars])
            values.update(zip(equation.outvars, outputs, strict=True))
        return [read(variable) for variable in jaxpr.outvars]

    def _apply(self, equation: Any, inputs: list[Value]) -> list[Value]:
        """Values of an equation's outputs: of what it stands for, computed, or of a new node."""
        name, params = equation.primitive.name, equation.params
        if name == "platform_index":
            return [np.asarray(len(params["platforms"]) - 1)]  # the last one is for any platform
        if name == "cond" and not isinstance(inputs[0], str):
            return self.run(params["branches"][int(inputs[0])], inputs[1:])
        if name == "custom_vjp_call" and params["call_jaxpr"].jaxpr.debug_info.func_name == "_upsample":
            return [self._upsample(equation, inputs[0])]
        inner = params.get("call_jaxpr", params.get("jaxpr"))
        if isinstance(inner, ClosedJaxpr) and name != "scan":
            return self.run(inner, inputs)
        if not any(isinstance(x, str) for x in inputs):
            found = equation.primitive.bind(*inputs, **params)
            return [np.asarray(x) for x in (found if equation.primitive.multiple_results else [found])]
        return [self._node_of(equation, inputs)]

    def _node_of(self, equation: Any, inputs: list[Value]) -> str:
        name, params = equation.primitive.name, equation.params
        if name in _SAME:
            return self.node(_SAME[name], inputs)
        if name == "max":
            zero = not isinstance(inputs[1], str) and inputs[1].ndim == 0 and inputs[1] == 0
            return self.node("Relu", inputs[:1]) if zero else self.node("Max", inputs)
        if name == "square":
            return self.node("Mul", inputs * 2)
        if name == "convert_element_type":
            return self.node("Cast", inputs, to=TensorProto.FLOAT)
        if name == "squeeze" and params["dimensions"] == (3,):
            return self.node("Squeeze", [inputs[0], np.asarray([1])])
        if name in ("conv_general_dilated", "dot_general"):
            return self._convolve(equation, *inputs)
        raise NotImplementedError(f"no word of ONNX is known for {equation}")

    def _convolve(self, equation: Any, x: Value, kernel: Value) -> str:
        """Of a convolution, or of a product along the channels, which is one with a kernel of one cell."""
        if isinstance(kernel, str):
            raise NotImplementedError(f"no word of ONNX is known for a kernel that is no constant: {equation}")
        strides, padding = (equation.params.get(name) for name in ("window_strides", "padding"))
        if strides is None:
            kernel, strides, padding = kernel[None, None], (1, 1), ((0, 0), (0, 0))
        before, after = zip(*padding, strict=True)
        ordered = self.raw_constant(kernel.transpose(3, 2, 0, 1))
        return self.node("Conv", [x, ordered], strides=strides, pads=before + after)

    def _upsample(self, equation: Any, x: Value) -> str:
        """ONNX's cubic and linear with half-pixel centres are PyTorch's, and so the library's."""
        (source,), (target,) = ([v.aval.shape for v in vs] for vs in (equation.invars, equation.outvars))
        factors = [to / size for to, size in zip(target, source, strict=True)]
        scales = np.asarray([factors[0], factors[3], factors[1], factors[2]], np.float32)
        mode = {"bicubic": "cubic", "bilinear": "linear"}[self._interpolation]
        options: dict[str, Any] = {"cubic_coeff_a": -0.75} if mode == "cubic" else {}
        inputs: list[Value] = [x, "", self.raw_constant(scales)]
        return self.node("Resize", inputs, mode=mode, coordinate_transformation_mode="half_pixel", **options)
