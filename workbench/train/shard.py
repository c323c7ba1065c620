"""Sharded networks (FSDP2, 2304.11277): each process holds its share of a pipeline network's weights.

A network is cut block by block; a block's weights are whole while it computes, and in the process's share again after.
Gradients arrive summed over the processes and cut alike, so optimisers, averages and clipping work on the shares: plain
tensors that lie in the same memory. What is no pipeline's network (heads, adapters, further inputs) stays whole in
every process. A sharded net answers only where all processes ask it together: they compare what they are about to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from workbench.train.place import Place, connected

BACKWARD = 0  # what processes tell each other before the backward pass; forward passes have numbers


def model_of(net: nn.Module) -> nn.Module | None:
    """The pipeline's own network within a net of the engine; None where there is none."""
    while hasattr(net, "net"):
        net = net.net
    found = getattr(getattr(net, "network", net), "model", None)
    return found if isinstance(found, nn.Module) else None


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The modules that are cut one by one, inner ones first: those of the classes that diffusers never splits.

    The network alone where it names none.
    """
    names = set(getattr(model, "_no_split_modules", None) or ())
    return [part for part in model.modules() if type(part).__name__ in names][::-1]


def sharded(net: nn.Module, mesh) -> bool:
    """Cut the net's pipeline network over ``mesh`` (one dimension), in place; whether there was one.

    Adapters within it stay whole. One that is cut already, because another view shares it, is left as it is. What lies
    in no block stays whole from a forward pass to ``reshard()``: a loss on features gives no sign to gather it again.
    """
    from torch.distributed.fsdp import FSDPModule, fully_shard

    model = model_of(net)
    if model is None or isinstance(model, FSDPModule):
        return model is not None
    adapters = {param for name, param in model.named_parameters() if ".lora_" in name}
    for part in [*blocks_of(model), model]:
        fully_shard(part, mesh=mesh, reshard_after_forward=part is not model, ignored_params=adapters)
        part.set_gradient_divide_factor(1.0)  # the loss is divided by the micro-batches: gradients are sums
        part.set_force_sum_reduction_for_comms(True)
    return True


def whole(tensor: Tensor) -> Tensor:
    """The tensor whose share this is, gathered from all processes at once; others as they are."""
    if not hasattr(tensor, "full_tensor"):
        return tensor
    with connected():
        return tensor.full_tensor()


def share(tensor: Tensor) -> Tensor:
    """This process's share of a sharded tensor, in the same memory; others as they are."""
    return tensor.detach().to_local() if hasattr(tensor, "to_local") else tensor


def cut(tensor: Tensor, owner: Tensor) -> Tensor:
    """A tensor made for a share (an optimiser's moment) as the sharded tensor it is a part of; others as they are."""
    if not hasattr(owner, "placements") or tensor.shape != share(owner).shape:
        return tensor
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(tensor, owner.device_mesh, owner.placements, shape=owner.shape, stride=owner.stride())


def like(whole: Tensor, tensor: Tensor) -> Tensor:
    """A whole tensor, which every process has, cut as ``tensor`` is; one of another shape as it is."""
    if not hasattr(tensor, "placements") or whole.shape != tensor.shape:
        return whole
    from torch.distributed.tensor import distribute_tensor

    mesh = tensor.device_mesh
    return distribute_tensor(whole.to(mesh.device_type), mesh, tensor.placements, src_data_rank=None)


class Shards:
    """The shares of a run's nets: leaves that optimisers move, each beside the sharded parameter it belongs to."""

    def __init__(self, nets: Mapping[str, nn.Module], place: Place) -> None:
        from torch import distributed
        from torch.distributed.device_mesh import init_device_mesh

        mesh = init_device_mesh(place.device.type, (place.world,))
        if not [name for name, net in nets.items() if sharded(net, mesh)]:
            raise ValueError("none of these nets is a pipeline's network, so there is nothing to shard: "
                             "train them without sharding")
        self.place, self.nets = place, dict(nets)
        self.gathering: Callable[[], None] = lambda: None  # before a checkpoint is gathered: who leads tells all
        self.group = distributed.new_group(backend="gloo")
        self.models = {id(model): model for net in nets.values() if (model := model_of(net)) is not None}
        for number, model in enumerate(self.models.values(), 1):
            ask = lambda *_, number=number: self.in_step(2 * number + torch.is_grad_enabled())  # noqa: E731
            model.register_forward_pre_hook(ask, prepend=True)
        self.leaves: dict[int, nn.Parameter] = {}  # by the parameter
        self.owners: dict[int, nn.Parameter] = {}  # by the leaf
        for param in self.parameters():
            if hasattr(param, "to_local"):
                leaf = self.leaves[id(param)] = nn.Parameter(share(param), requires_grad=param.requires_grad)
                self.owners[id(leaf)] = param

    def parameters(self) -> Iterator[nn.Parameter]:
        return (param for net in self.nets.values() for param in net.parameters())

    def leaf(self, param: nn.Parameter) -> nn.Parameter:
        """What an optimiser moves for this parameter."""
        return self.leaves.get(id(param), param)

    def owner(self, leaf: Tensor) -> Tensor:
        """The parameter that a leaf is the share of."""
        return self.owners.get(id(leaf), leaf)

    @contextmanager
    def learning(self, leaves: Iterable[nn.Parameter]) -> Iterator[None]:
        """Within, these alone ask for gradients; at the end they have them.

        Sharded weights are other tensors while their block computes, so ``backward(inputs=...)`` cannot name them.
        """
        learners = {id(self.owner(leaf)): leaf for leaf in leaves}
        resting = [param for param in self.parameters() if param.requires_grad and id(param) not in learners]
        for param in resting:
            param.requires_grad_(False)
        try:
            yield
        finally:
            for model in self.models.values():  # or what lies in no block would miss what optimisers and averages do
                model.reshard()
            for param in resting:
                param.requires_grad_(True)
            for leaf in learners.values():
                owner = self.owner(leaf)
                if owner is not leaf:
                    leaf.grad, owner.grad = None if owner.grad is None else share(owner.grad), None

    def backward(self, total: Tensor) -> None:
        """Gradients of ``total`` [] for those who learn."""
        self.in_step(BACKWARD)
        total.backward()

    def in_step(self, what: int) -> None:
        """ValueError where the processes are about to do different things: they would wait for each other for good."""
        own = torch.tensor([what])
        found = [torch.empty_like(own) for _ in range(self.place.world)]
        with connected():
            torch.distributed.all_gather(found, own, group=self.group)
        if any(other.item() != what for other in found):
            raise ValueError("this method asks its nets in an order of each micro-batch's own (it draws how many "
                             "steps to take), which sharded nets cannot follow: train it without sharding, or with "
                             "settings that leave nothing to draw (num_inference_steps=1)")

    def sum(self, leaves: list[nn.Parameter]) -> None:
        """Add up the gradients that are not yet: those of weights that every process has whole."""
        self.place.sum([leaf.grad for leaf in leaves if self.owner(leaf) is leaf])

    def norm(self, leaves: list[nn.Parameter]) -> Tensor:
        """[] of all gradients, the shares of the other processes among them."""
        squares = [torch.zeros(2, device=self.place.device)]
        for leaf, norm in zip(leaves, torch._foreach_norm([leaf.grad for leaf in leaves]), strict=True):
            squares.append(torch.zeros(2, device=norm.device))
            squares[-1][int(self.owner(leaf) is leaf)] = norm.square()
        cut, kept = torch.stack(squares).sum(0)
        self.place.sum([cut])
        return (cut + kept).sqrt()
