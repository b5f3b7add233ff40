"""The graph of a network as the bytes of an ONNX file: opset 20, any number of rows, one file, the same bytes every time.

Covered: torch's exporter (https://docs.pytorch.org/docs/stable/onnx_export.html), what is left out of its answer, weights
stored in half precision. Not covered: whether the file says what the network does (check.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legato.errors import Mistake
from legato.exported.needs import PACKAGES, need, quiet
from legato.exported.parts import Part

OPSET = 20
EXAMPLE = 3  # rows: an exporter takes 1 for a constant
LARGEST_HALF = 65504.0  # beyond it, a half is infinite


def graph_of(part: Part, example: Tensor) -> Any:
    """A network as ONNX's ModelProto; `example`: EXAMPLE rows of what goes in. Raises `Mistake` for what ONNX cannot say."""
    for name in PACKAGES:
        need(name)
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(
                part,
                (example,),
                input_names=[part.given],
                output_names=list(part.found),
                # the first axis by name: a file then takes any number of rows
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,  # one file: external weights would be a second that a person can lose
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        # The cause, where there is one, is nearer to the fault than the exporter's own message.
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise Mistake(f"the model cannot be written as ONNX: {reason}") from error
    assert program is not None  # with `dynamo` it never is
    return bare(program.model_proto)


def bare(proto: Any) -> Any:
    """The graph and nothing else: an exporter notes the source lines of every node, with the paths of the machine it ran on."""
    proto.ClearField("metadata_props")
    proto.graph.ClearField("value_info")  # shapes of what lies in between: every reader infers them
    proto.graph.ClearField("metadata_props")
    for one in (*proto.graph.node, *proto.graph.initializer, *proto.graph.input, *proto.graph.output):
        one.ClearField("metadata_props")
        one.ClearField("doc_string")
    return proto


def halved(proto: Any) -> Any:
    """Matrices and kernels stored as float16, and cast to float32 where they are read: half the bytes, float32 arithmetic.

    Vectors (biases, norms) stay as they are, few and not to be rounded twice; so does what a half cannot hold.
    """
    onnx = need("onnx")
    weights, casts = [], []
    for tensor in proto.graph.initializer:
        value = onnx.numpy_helper.to_array(tensor)
        if _halves(value):
            stored = f"{tensor.name}_half"
            casts.append(onnx.helper.make_node("Cast", [stored], [tensor.name], to=onnx.TensorProto.FLOAT))
            tensor = onnx.numpy_helper.from_array(value.astype(np.float16), stored)
        weights.append(tensor)
    nodes = [*casts, *proto.graph.node]  # a graph's nodes stand in the order of their needs
    for field, content in (("initializer", weights), ("node", nodes)):
        proto.graph.ClearField(field)
        getattr(proto.graph, field).extend(content)
    return proto


def _halves(value: NDArray[Any]) -> bool:
    # matrices alone: vectors are few, and are not to be rounded twice
    return value.dtype == np.float32 and value.ndim > 1 and bool(np.abs(value).max(initial=0) <= LARGEST_HALF)
