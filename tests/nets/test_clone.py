"""Clones: equal answers, own weights, added inputs, clear refusals."""

import pytest
import torch

from workbench.nets.clone import clone
from workbench.nets.mlp import Mlp
from workbench.noise import Edm, Spoken, speak
from workbench.teachers.analytic import Mixture

X, T = torch.linspace(-1, 1, 10).reshape(5, 2), torch.linspace(0.1, 1.4, 5)


def test_a_clone_answers_alike_trains_alone_and_is_trainable():
    net = Mlp(2, num_classes=3, seed=5).requires_grad_(False).eval()
    copy = clone(net)
    assert torch.equal(net(X, T), copy(X, T)) and copy.training
    assert all(p.requires_grad for p in copy.parameters())
    with torch.no_grad():
        copy.out.bias += 1
    assert not torch.equal(net(X, T), copy(X, T))


def test_added_inputs_change_nothing_until_trained():
    net = Mlp(2, seed=5)
    copy = clone(net, second_time=True, guided=True)
    assert torch.equal(net(X, T), copy(X, T, 0.5 * T, None, torch.full((5,), 3.0)))
    copy(X, T, 0.5 * T, None, torch.full((5,), 3.0)).square().sum().backward()
    assert copy.s_in.weight.grad.abs().sum() > 0 and copy.guidance_in.weight.grad.abs().sum() > 0


def test_a_clone_of_a_clone_keeps_the_trained_extra_inputs():
    net = clone(Mlp(2), second_time=True)
    torch.nn.init.normal_(net.s_in.weight, generator=torch.Generator().manual_seed(0))
    assert torch.equal(clone(net, guided=True)(X, T, 0 * T), net(X, T, 0 * T))


def test_dtype_follows_and_a_translation_is_cloned_with_its_net():
    net = speak(Mlp(2, seed=1).double(), Edm(), "eps")
    copy = clone(net)
    assert isinstance(copy, Spoken) and copy.form == "eps" and copy.net is not net.net
    assert torch.equal(copy(X.double(), T.double()), net(X.double(), T.double()))


def test_refusals_name_the_fix():
    with pytest.raises(ValueError, match="leave second_time as None"):
        clone(Mlp(2, second_time=True), second_time=False)
    plain = Mlp(2)
    del plain.settings["guided"]
    with pytest.raises(ValueError, match="has no input guided"):
        clone(plain, guided=True)
    with pytest.raises(ValueError, match="no settings"):
        clone(Mixture([[0.0, 0.0]], 1.0))


def test_weights_that_do_not_fit_are_refused():
    net = Mlp(2)
    net.extra = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="unexpected"):
        clone(net)
