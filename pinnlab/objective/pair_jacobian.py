"""The Jacobian on functions times places of a network that is `InFactors`, kept in factors as well.

The residual at function i and place j depends on the network through its outputs and their derivatives there,
`N_k = sum_r B[i, r] T_k[j, r]`, with one T_k for each derivative k. So its row of the Jacobian is

    sum_r (sum_k c_k[i, j] T_k[j, r]) dB[i, r]   and   sum_kr (c_k[i, j] B[i, r]) dT_k[j, r]

with c_k the residual's derivative by N_k. The derivatives of B are computed once for each function, those of T once for
each place, and the pairs are matrix products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.func import vjp, vmap

from pinnlab.derivatives import Jet
from pinnlab.derivatives.lifting import lift
from pinnlab.networks import InFactors, unscaled
from pinnlab.networks.on_products import Features
from pinnlab.numerics.linalg import mirror_lower
from pinnlab.numerics.memory import BLOCK_BYTES as _BLOCK_BYTES
from pinnlab.numerics.swapped import call_with
from pinnlab.numerics.torch_version import differentiable_in_inference_mode
from pinnlab.objective.pair_sides import Side
from pinnlab.objective.parameter_derivatives import split_parameters
from pinnlab.objective.residuals import Parameters, ResidualSystem


class PairJacobian(NamedTuple):
    """Residuals of functions times places and their Jacobian, of one condition.

    Attributes:
        values: `(functions, places, equations)`.
        functions: the columns of the net that functions go through; its others are `(places, equations)`.
        places: those of the net of the places; its others are `(functions, equations)`.
        slopes: `(equations, derivatives, functions, places, outputs)` of the values by the network's outputs and their
            derivatives; those by the outputs themselves are the columns of the network's own bias.
        weights: `(functions, outputs, rank)` what the network makes of functions.
        products: `(places, derivatives, rank)` what it makes of places.
        columns: which numbers of the flat vector the columns of functions, places and bias are.
        width: n, how many the flat vector has; the other columns are zero.
    """

    values: Tensor
    functions: Side
    places: Side
    slopes: Tensor
    weights: Tensor
    products: Tensor
    columns: Tensor
    width: int

    def rows(self, part: slice) -> Tensor:
        """The rows of some functions, `(part * places * equations, n)`."""
        (_, places, equations), values = self.values.shape, self.values[part]
        own = self.functions.rows(part, slice(None)).unflatten(1, (places, equations))
        chosen = slice(part.start * equations, part.stop * equations)
        theirs = self.places.rows(slice(None), chosen).unflatten(1, (-1, equations)).transpose(0, 1)
        rows = values.new_zeros(values.numel(), self.width)
        rows[:, self.columns] = torch.cat([own, theirs, self.bias[part]], 3).flatten(0, 2)
        return rows

    def gram(self) -> Tensor:
        """J'J `(n, n)`."""
        n, m = len(self.functions.columns), len(self.columns) - self.bias.shape[3]
        own = self.values.new_zeros(len(self.columns), len(self.columns))  # the lower triangle
        own[:n, :n], own[n:m, n:m], own[n:m, :n] = self.functions.gram(), self.places.gram(), self._mixed()
        for k in range(self.bias.shape[3]):
            own[m + k] = self._transposed(self.bias[..., k])
        whole = self.values.new_zeros(self.width, self.width)
        whole[self.columns[:, None], self.columns] = mirror_lower(own)
        return whole

    def times(self, v: Tensor) -> Tensor:
        """J v for `(n,)`, `(functions * places * equations,)`."""
        sizes = [len(self.functions.columns), len(self.places.columns), self.bias.shape[3]]
        own, theirs, constant = v[self.columns].split(sizes)
        of_places = self.places.times(theirs).unflatten(1, (-1, self.values.shape[2])).transpose(0, 1)
        return (self.functions.times(own).view_as(self.values) + of_places + self.bias @ constant).flatten()

    def transposed_times(self, u: Tensor) -> Tensor:
        """J'u for `(functions * places * equations,)`, `(n,)`."""
        total = u.new_zeros(self.width)
        total[self.columns] = self._transposed(u.view_as(self.values))
        return total

    @property
    def bias(self) -> Tensor:
        """The columns of the network's own bias, `(functions, places, equations, outputs)`."""
        return self.slopes[:, 0].permute(1, 2, 0, 3)

    def _mixed(self) -> Tensor:
        """The products of the columns of places with those of functions."""
        a, b, equations = self.functions, self.places, self.values.shape[2]
        h, g, slopes = a.hidden.shape[2], b.hidden.shape[2], self.slopes.permute(1, 4, 2, 3, 0)
        own = self.values.new_zeros(len(b.columns), len(a.columns))
        for k in range(slopes.shape[0]):
            parts = [a.last_product(0, each, self.products[:, k], b, with_last=True) for each in slopes[k]]
            own[:, h:] += torch.cat(parts).T
            for each, weights in zip(slopes[k], self.weights.unbind(1), strict=True):
                own[g:, :h] += b.last_product(k, each.transpose(0, 1), weights, a, with_last=False)
        if a.hidden_cost(b, equations) <= b.hidden_cost(a, equations):
            own[:g, :h] = a.hidden_product(b, equations).T
        else:
            own[:g, :h] = b.hidden_product(a, equations)
        return own

    def _transposed(self, dual: Tensor) -> Tensor:
        own = self.functions.transposed_times(dual.flatten(1))
        theirs = self.places.transposed_times(dual.transpose(0, 1).flatten(1))
        return torch.cat([own, theirs, self.bias.flatten(0, 2).T @ dual.flatten()])


@differentiable_in_inference_mode
def numbers_at_pairs(
    system: ResidualSystem, parameters: Parameters, name: str, points: Tensor
) -> tuple[int, int] | None:
    """How many numbers the network makes of a function and of a place, with derivatives, that residuals depend on.

    Args:
        system: the residuals.
        parameters: every parameter and buffer by name.
        name: the condition.
        points: a few of its rows, `(functions, places, d + k)`.

    Returns:
        None where the network is not `InFactors` or parts of it are not trained, or the residual depends on more than
        its outputs and their derivatives by the place at the same pair: on coefficients, other points, derivatives by
        the function.
    """
    network, wanted, trained = getattr(system.trial, "network", None), system.wanted[name], system.trained()
    if not isinstance(network, nn.Module) or not isinstance(unscaled(network), InFactors):
        return None
    if not {f"network.{key}" for key, _ in network.named_parameters()} <= set(trained):
        return None
    if system.width is not None or wanted.samples or wanted.backwards or (wanted and system.engine != "taylor"):
        return None
    own = {key: parameters[key].detach().requires_grad_() for key in trained}
    net = _Net(network, parameters, points.shape[1])
    with torch.enable_grad():
        parts = system.condition_residuals(name, points, {**parameters, **own}, network=net)
        if net.calls != 1 or net.by_function or not _only_through(net, parts, own):
            return None
    return net.weights[0].numel(), net.products[0].numel()


@differentiable_in_inference_mode
def pair_jacobian(
    system: ResidualSystem, parameters: Parameters, name: str, points: Tensor, scale: Tensor
) -> PairJacobian:
    """The residuals and Jacobian of one condition on functions times places, which `numbers_at_pairs` knows of.

    Args:
        system: the residuals.
        parameters: every parameter and buffer by name.
        name: the condition.
        points: its rows `(functions, places, d + k)`.
        scale: 0-dimensional, what its residuals are multiplied by.
    """
    wanted, dim = system.wanted[name], len(system.problem.coordinates)
    net = _Net(system.trial.network, parameters, points.shape[1])
    with torch.enable_grad():
        parts = system.condition_residuals(name, points, parameters, network=net)
        slopes = torch.stack([_slope(part, net.outputs) for part in parts])
    sizes = len(points), points.shape[1]
    slopes = (scale * slopes).unflatten(2, sizes)  # (equations, derivatives, functions, places, outputs)
    values = scale * torch.stack([part.detach() for part in parts], -1).unflatten(0, sizes)
    of_functions = torch.einsum("ekijm,jkr->ijemr", slopes, net.products).flatten(3).flatten(1, 2)
    of_places = torch.einsum("ekijm,imr->jiekr", slopes, net.weights).flatten(3).flatten(1, 2)
    trained, _ = split_parameters(system, parameters)
    lengths = [part.numel() for part in trained.values()]
    numbers = dict(zip(trained, torch.arange(sum(lengths), device=points.device).split(lengths), strict=True))

    def function_features(own: Parameters, row: Tensor) -> Tensor:
        return _Net(system.trial.network, {**parameters, **own}, 1).features(row[None])[0]

    def place_features(own: Parameters, row: Tensor) -> Tensor:
        lifted = lift(row[None], wanted) if wanted else row[None]
        return channels(_Net(system.trial.network, {**parameters, **own}, 1).features(lifted)[1])[:, 0]

    nets = (function_features, points[:, 0, :dim], of_functions), (place_features, points[0, :, :dim], of_places)
    sides = [
        _side(*each, given, layer, net.layer(layer), trained, numbers)
        for each, given, layer in zip(nets, net.given, net.layers, strict=True)
    ]
    columns = torch.cat([*(side.columns for side in sides), numbers[net.bias]])
    return PairJacobian(values, sides[0], sides[1], slopes, net.weights, net.products, columns, sum(lengths))


def channels(jet: Any) -> Tensor:
    """A jet's value, first and other derivatives that are not zero, `(k, ...)`; a tensor alone as one of them."""
    if not isinstance(jet, Jet):
        return cast("Tensor", jet).unsqueeze(0)
    first = jet.first.expand(len(jet.axes), *jet.shape)
    rest = [part.expand(jet.shape).unsqueeze(0) for part in jet.higher.values() if part is not None]
    return torch.cat([jet.value.unsqueeze(0), first, *rest])


class _Net:
    """The network in factors, in place of itself: its outputs and their derivatives become variables.

    Args:
        network: as it is or in a `ScaledInput`.
        parameters: every parameter and buffer of the trial function by name.
        places: how many places each function has.

    Attributes:
        layers: the names of the last layers in the trial function.
        bias: that of the network's own bias.
        calls: how often it was evaluated.
        by_function: whether derivatives by the function are asked for.
        given: what the last layers were given, `(functions, 1, a)` and `(places, derivatives, b)`, and 1 for biases.
        weights: `(functions, outputs, rank)` what the first of them made of it.
        products: `(places, derivatives, rank)` the other.
        outputs: `(derivatives, functions * places, outputs)`, what gradients can be taken by.
    """

    def __init__(self, network: nn.Module, parameters: Parameters, places: int) -> None:
        inner = cast("InFactors", unscaled(network))
        before = next(f"network.{key}." if key else "network." for key, m in network.named_modules() if m is inner)
        self.layers, self.bias = [before + name for name in inner.last_layers], f"{before}bias"
        self._features, self._places = Features(network), places
        self._values = {key: value for key, value in parameters.items() if key.startswith("network.")}
        self.calls, self.by_function = 0, False
        self.given: list[Tensor] = []
        self.weights = self.products = self.outputs = torch.empty(0)

    def features(self, x: Any) -> tuple[Any, Any]:
        """What the last layers are given at points, tensors or jets."""
        found: tuple[Any, Any] = call_with(self._features, self._values, (x, self._places))
        return found

    def layer(self, name: str) -> Tensor:
        """A last layer's weights with its bias as their last column, `(s, w)`."""
        return torch.cat([self._values[f"{name}.weight"], self._values[f"{name}.bias"][:, None]], 1).detach()

    def __call__(self, x: Any) -> Any:
        self.calls += 1
        with torch.no_grad():
            function, jet = self.features(x)
            self.by_function = isinstance(function, Jet)
            of_function = channels(function)[:1].transpose(0, 1)
            of_place = channels(jet).transpose(0, 1)
            self.given = [_with_one(of_function), _with_one(of_place)]
            made = [given @ self.layer(name).T for given, name in zip(self.given, self.layers, strict=True)]
            bias = self._values[self.bias].detach()
            self.weights, self.products = made[0][:, 0].unflatten(1, (len(bias), -1)), made[1]
            outputs = torch.einsum("imr,jkr->kijm", self.weights, self.products).flatten(1, 2)
            outputs[0] += bias
        self.outputs = outputs.requires_grad_()
        return _like(jet, outputs)


def _with_one(features: Tensor) -> Tensor:
    """Features `(own, derivatives, a)` and 1, of which derivatives are zero."""
    one = torch.zeros_like(features[..., :1])
    one[:, 0] = 1.0
    return torch.cat([features, one], -1)


def _like(jet: Any, parts: Tensor) -> Any:
    """What has the derivatives of a jet, with other numbers."""
    if not isinstance(jet, Jet):
        return parts[0]
    count = 1 + len(jet.axes)
    rest = iter(parts[count:])
    higher = {key: None if part is None else next(rest) for key, part in jet.higher.items()}
    return Jet(parts[0], jet.axes, parts[1:count], higher)


def _slope(part: Tensor, outputs: Tensor) -> Tensor:
    """The derivatives of an equation's residuals by the network's outputs; zeros of one without an unknown in it."""
    if not part.requires_grad:
        return torch.zeros_like(outputs)
    return torch.autograd.grad(part.sum(), outputs, retain_graph=True, materialize_grads=True)[0]


def _only_through(net: _Net, parts: list[Tensor], own: Mapping[str, Tensor]) -> bool:
    """Whether residuals depend on parameters through the network's outputs only, and on these at all."""
    total = torch.stack([part.sum() for part in parts]).sum()
    if not total.requires_grad:
        return False
    found = torch.autograd.grad(total, [net.outputs, *own.values()], allow_unused=True)
    return found[0] is not None and all(part is None for part in found[1:])


def _side(
    features: Callable[[Parameters, Tensor], Tensor],
    rows: Tensor,
    coupling: Tensor,
    given: Tensor,
    name: str,
    layer: Tensor,
    trained: Mapping[str, Tensor],
    numbers: Mapping[str, Tensor],
) -> Side:
    """One net's columns.

    Args:
        features: `(derivatives, a)`, of parameters of hidden layers and one point.
        rows: the points.
        coupling: see `Side`.
        given: its features.
        name: of the last layer.
        layer: its weights and bias.
        trained: all parameters that are trained.
        numbers: which ones of the flat vector each of them is.
    """
    with torch.enable_grad():
        leaves = {key: value.detach().requires_grad_() for key, value in trained.items()}
        found = features(leaves, rows[0]).sum()
        slopes = torch.autograd.grad(found, [*leaves.values()], allow_unused=True) if found.requires_grad else ()
    own = {key: trained[key] for key, slope in zip(trained, slopes, strict=False) if slope is not None}
    last = torch.cat([numbers[f"{name}.weight"].view(len(layer), -1), numbers[f"{name}.bias"][:, None]], 1)
    columns = torch.cat([*(numbers[key] for key in own), last.flatten()])
    derivatives, weights = given.shape[1], layer[:, :-1]
    if not own:
        return Side(coupling, given, coupling.new_zeros(len(coupling), coupling.shape[2], 0), columns)
    duals = torch.eye(derivatives * weights.shape[1], dtype=layer.dtype, device=layer.device)

    def at(row: Tensor) -> Tensor:
        pull_back = vjp(lambda own: features(own, row), own)[1]
        slopes = vmap(lambda dual: pull_back(dual)[0])(duals.unflatten(1, (derivatives, -1)))
        return torch.cat([slope.flatten(1) for slope in slopes.values()], 1)

    width = sum(value.numel() for value in own.values())
    chunk = max(1, _BLOCK_BYTES // (len(duals) * width * layer.element_size()))
    hidden = vmap(at, chunk_size=chunk)(rows).unflatten(1, (derivatives, -1))
    return Side(coupling, given, (weights @ hidden).flatten(1, 2), columns)
