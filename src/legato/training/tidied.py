"""A captured step made cheap to ask for: its operations as they were, each asked for in the quickest way.

Torch's own binding of an operation instead of the operator, views of weights made once for all steps, no view or product that
changes nothing, results written over what nothing reads again. No bit of a result changes. Covered: graphs of torch's operators
(`compiled.captured`). Not covered: whether the step is still the plain one (replayed.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import getitem
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import Graph, GraphModule, Interpreter, Node

from legato.devices import drawing
from legato.training.compiled import Lowered

CONSTANT = (torch.ops.aten.scalar_tensor, torch.ops.aten.full, torch.ops.aten.zeros, torch.ops.aten.ones)  # of nothing given
UNSET = ("empty", "empty_like", "new_empty")  # memory that holds nothing yet
SAME = (torch.ops.aten.mul.Tensor, torch.ops.aten.div.Tensor, torch.ops.aten.div.Scalar)  # with 1: x to the last bit


def tidied(graph: GraphModule, given: Sequence[Tensor], known: int) -> Lowered:
    """The step of a graph. `given`: what it was captured with, of which all but the first `known` is state."""
    nodes = graph.graph
    nodes.eliminate_dead_code()
    seen = _Seen(graph)
    with drawing(torch.device("cpu"), 0):
        seen.run(*(value.clone() for value in given))
    _drop_doubles(nodes, seen)
    _drop_idle(nodes, seen)
    weights, *inputs = list(nodes.nodes)[: len(given)]
    batch, state = inputs[: known - 1], inputs[known - 1 :]
    fixed = _fixed(nodes, state, seen)
    weighed = _weighed(nodes, weights, seen)
    _write_over(nodes, seen.values, [*fixed, *weighed])
    first, once = _before(graph, state, fixed)
    second, resting = _before(graph, [weights], weighed)
    rest = [node for node in nodes.nodes if node not in {*fixed, *weighed} and node.op not in ("placeholder", "output")]
    step = _part(graph, [*resting, *batch, *once], rest, nodes.output_node().args[0])
    # `forward` itself: a module's call asks for hooks first
    return Lowered(step.forward, lambda state: list(first(*state)), lambda weights: list(second(weights)))


def same(one: Any, other: Any) -> bool:
    """True where both are the same tensors, bit for bit, in the same memory format; or lists of such."""
    if isinstance(one, list | tuple):
        return isinstance(other, list | tuple) and len(one) == len(other) and all(map(same, one, other))
    if not (isinstance(one, Tensor) and isinstance(other, Tensor)):
        return one is None and other is None
    if (one.dtype, one.shape, one.stride()) != (other.dtype, other.shape, other.stride()):
        return False
    return bool(((one == other) | (one.isnan() & other.isnan())).all())


class _Seen(Interpreter):
    """One run of a graph that keeps all values: with all of them alive, equal addresses are the same memory.

    Where torch's own binding of an operation gives the same, the node becomes a call of that: it takes a microsecond where the
    operator itself takes three.
    """

    def __init__(self, graph: GraphModule) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.values: dict[Node, Any] = {}
        self.written: set[int] = set()  # memory into which an operation writes

    def changes(self, *nodes: Node) -> bool:
        """True where the memory of one of these is written into at some time: it may then be other numbers later."""
        return any(memory in self.written for node in nodes for memory in _memories(self.values[node]))

    def run_node(self, n: Node) -> Any:
        value = self.values[n] = super().run_node(n)
        if n.target is torch.ops.aten.ones_like.default and isinstance(value, Tensor) and not value.ndim:
            # Where a gradient begins: what the loss is does not matter there, and is then perhaps never computed.
            n.target, n.args, n.kwargs = torch.ops.aten.ones.default, ([],), {"dtype": value.dtype, "device": value.device}
        if isinstance(n.target, OpOverload) and not _moves(n.target):
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            self._bind(n, n.target, value, args, kwargs)
        elif isinstance(n.target, OpOverload):  # all that it is given: which of it is written, is not told apart
            self.written.update(memory for one in n.all_input_nodes for memory in _memories(self.values[one]))
            name = n.target.overloadpacket.__name__
            if name.endswith("_") and hasattr(Tensor, name) and value is self.values[n.all_input_nodes[0]]:
                n.meta["operator"], n.op, n.target = n.target, "call_method", name
        return value

    def _bind(self, n: Node, operator: OpOverload, value: Any, args: Any, kwargs: Any) -> None:
        name = operator.overloadpacket.__name__
        for op, bound in (("call_function", getattr(torch, name, None)), ("call_method", getattr(Tensor, name, None))):
            if bound is not None and _gives(None if name in UNSET else value, bound, *args, **kwargs):
                n.meta["operator"] = operator
                n.meta["out"] = isinstance(value, Tensor) and _gives(value, bound, *args, **kwargs, out=value.clone())
                n.op, n.target = op, bound if op == "call_function" else name
                return


def _gives(value: Any, function: Any, *args: Any, **kwargs: Any) -> bool:
    """True where this is the function's value of these arguments; None: whatever it is."""
    try:
        found = function(*args, **kwargs)
        return value is None or same(found, value)
    except (TypeError, RuntimeError, ValueError):  # its arguments are said in another way
        return False


def _operator(node: Node) -> OpOverload | None:
    """The operator that a node asks for, however it asks."""
    found = node.meta.get("operator", node.target)
    return found if isinstance(found, OpOverload) else None


def _moves(operator: OpOverload) -> bool:
    """True where it writes into what it is given, or draws."""
    return bool(operator._schema.is_mutable) or torch.Tag.nondeterministic_seeded in operator.tags


def _drop_doubles(nodes: Graph, seen: _Seen) -> None:
    """What was computed before of the same is not computed again."""
    first: dict[str, Node] = {}
    for node in list(nodes.nodes):
        operator = _operator(node)
        if operator is None or _moves(operator) or seen.changes(node, *node.all_input_nodes):
            continue
        before = first.setdefault(f"{operator} {node.args} {node.kwargs}", node)  # nodes are named uniquely
        if before is not node:
            _replace(node, before)


def _drop_idle(nodes: Graph, seen: _Seen) -> None:
    """What is only another name of what is there is not made: views, products with 1. Views of views are of their origin."""
    there: dict[Any, Node] = {}
    for node in list(nodes.nodes):
        operator, value = _operator(node), seen.values[node]
        if not isinstance(value, Tensor):
            continue
        other = None if operator is None else _other_name(node, operator, seen, there)
        if other is not None:
            _replace(node, other)
            there.setdefault(_place(value), other)
            continue
        _shorten(node, seen.values)
        there.setdefault(_place(value), node)
    nodes.eliminate_dead_code(lambda node: node.is_impure() or ((of := _operator(node)) is not None and _moves(of)))


def _other_name(node: Node, operator: OpOverload, seen: _Seen, there: dict[Any, Node]) -> Node | None:
    if operator.is_view:
        return there.get(_place(seen.values[node]))
    of = node.args[0] if node.args else None
    idle = isinstance(of, Node) and operator in SAME and node.args[1:] == (1,) and not seen.changes(node, of)
    return of if isinstance(of, Node) and idle and _format(seen.values[of]) == _format(seen.values[node]) else None


def _shorten(node: Node, values: dict[Node, Any]) -> None:
    """A view in another shape is taken of the first tensor of which it can be."""
    while node.target == "view" and isinstance(of := node.args[0], Node) and of.target in ("view", "expand", "unsqueeze"):
        origin = of.args[0]
        try:
            if not isinstance(origin, Node) or _place(values[origin].view(values[node].shape)) != _place(values[node]):
                return
        except RuntimeError:  # its strides do not allow it
            return
        node.args = (origin, *node.args[1:])


def _replace(node: Node, other: Node) -> None:
    node.replace_all_uses_with(other)
    node.graph.erase_node(node)


def _place(of: Tensor) -> tuple[Any, ...]:
    return of.data_ptr(), *_format(of)


def _format(of: Tensor) -> tuple[Any, ...]:
    return of.shape, of.stride(), of.dtype


def _fixed(nodes: Graph, state: Iterable[Node], seen: _Seen) -> list[Node]:
    """The state, and what is only a view of it, for weights are written in place."""
    found = dict.fromkeys(state)
    for node in nodes.nodes:
        operator = _operator(node)
        if operator is None or _moves(operator):
            continue
        of_fixed = all(one in found for one in node.all_input_nodes)
        if of_fixed and operator.is_view:
            found[node] = None
    return list(found)


def _is_number(operator: OpOverload | None) -> bool:
    """True for what makes numbers of nothing given."""
    return operator is not None and operator.overloadpacket in CONSTANT


def _weighed(nodes: Graph, weights: Node, seen: _Seen) -> list[Node]:
    """The weights of terms, and all that is computed of them and of numbers alone: where a gradient begins, mostly."""
    found = {weights: None}
    for node in nodes.nodes:
        operator = _operator(node)
        picks = node.target is getitem and node.all_input_nodes[0] in found
        alone = operator is not None and not _moves(operator) and not seen.changes(node)
        if picks or (
            alone and (node.all_input_nodes or _is_number(operator)) and all(one in found for one in node.all_input_nodes)
        ):
            found[node] = None
    return list(found)


def _before(graph: GraphModule, given: Sequence[Node], done: Sequence[Node]) -> tuple[GraphModule, list[Node]]:
    """What is done before the step, as a function of `given`, and those of its results that the step reads."""
    known = set(done)
    read = [node for node in done if any(user not in known for user in node.users)]
    return _part(graph, given, done, read), read


def _write_over(nodes: Graph, values: dict[Node, Any], fixed: Iterable[Node]) -> None:
    """Operations on each number by itself write over an argument that nothing reads after them: its memory is in the cache."""
    order = {node: at for at, node in enumerate(nodes.nodes)}
    whose = {node: value.untyped_storage().data_ptr() for node, value in values.items() if isinstance(value, Tensor)}
    read: dict[int, int] = {}  # memory -> the last that reads it
    for node, at in order.items():
        for one in node.all_input_nodes:
            for lies in _memories(values[one]):
                read[lies] = at
    kept = {whose[node] for node in (*fixed, *nodes.find_nodes(op="placeholder")) if node in whose}
    moved: dict[int, int] = {}  # memory that is written in the place of other memory

    def now(node: Node) -> int | None:
        """Where its value lies."""
        return moved.get(memory, memory) if (memory := whose.get(node)) else None

    for node, at in order.items():
        operator = _operator(node)
        if operator is None or torch.Tag.pointwise not in operator.tags or _moves(operator) or operator.is_view:
            continue
        for one in node.all_input_nodes:
            memory = now(one)
            if memory is None or memory in kept or read[memory] != at:
                continue
            # every argument that lies there: two parts of one memory may be read at once
            there = [values[other] for other in node.all_input_nodes if now(other) == memory]
            if all(_fits(value, values[node]) for value in there) and _into(node, operator, one):
                moved[whose[node]] = memory
                read[memory] = read.get(whose[node], at)
                break


def _memories(value: Any) -> Iterator[int]:
    """The addresses of a value's memory: of several results, of each."""
    for one in value if isinstance(value, list | tuple) else (value,):
        if isinstance(one, Tensor):
            yield one.untyped_storage().data_ptr()


def _fits(one: Any, result: Any) -> bool:
    """True where a result can be written where an argument lies, and views of it come out alike."""
    if not isinstance(one, Tensor) or not isinstance(result, Tensor) or one.storage_offset() or not one.numel():
        return False
    return (one.dtype, one.shape, one.stride()) == (result.dtype, result.shape, result.stride())


def _into(node: Node, operator: OpOverload, place: Node) -> bool:
    """Makes a node write its result there; False where its operation cannot be told where to write."""
    twin = _twin(operator)
    if twin is None:
        return False
    overload, word = twin
    if node.op == "call_function" and node.meta.get("out"):
        word = "out"
    else:
        node.op, node.target = "call_function", overload
    node.kwargs = {**node.kwargs, word: place}
    return True


def _twin(operator: OpOverload) -> tuple[OpOverload, str] | None:
    """The overload of an operation that takes the same and is told where to write, and the word by which it is told."""
    wanted = [(one.name, str(one.type)) for one in operator._schema.arguments]
    for name in operator.overloadpacket.overloads():
        overload = getattr(operator.overloadpacket, name)
        out = [one for one in overload._schema.arguments if one.is_out]
        others = [(one.name, str(one.type)) for one in overload._schema.arguments if not one.is_out]
        if len(out) == 1 and others == wanted:
            return overload, out[0].name
    return None


def _part(whole: GraphModule, given: Sequence[Node], work: Iterable[Node], result: Any) -> GraphModule:
    """Some of the nodes: a function of `given` that gives `result`, one value for each."""
    part, made = Graph(), {}
    for at, node in enumerate(given):
        made[node] = part.placeholder(f"given_{at}")
    for node in work:
        if node not in made:
            made[node] = part.node_copy(node, lambda one: made[one])
    part.output(tuple(made[one] if isinstance(one, Node) else one for one in result))
    part.lint()
    return GraphModule(whole, part)  # it takes from the whole what its nodes name: a generator
