"""Recipes: counted data, the plain denoising loss, the classifier's bending, and what makes a cached net stale."""

from dataclasses import replace

import pytest
import torch

from workbench.benches.training import DrawnData, FlowMatching, Recipe, bent, trained
from workbench.methods.parts.denoising import edm_weight
from workbench.nets.unet import UNet
from workbench.noise import Edm, TrigFlow, move, to_x0
from workbench.randomness import Key
from workbench.types import Labelled, Now, Samples

X = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
Y = torch.arange(40) % 10
METHOD = FlowMatching(TrigFlow(0.002, 80.0, 0.5))


def now(step=0, seed=0):
    return Now(step, 100, Key(seed, step=step))


def net(**settings):
    return UNet(widths=(8, 8), condition=16, num_classes=10, **settings)


def test_batches_are_a_function_of_seed_step_and_block():
    data = DrawnData(X, Y, seed=1, batch_size=16)
    one = data.at(5, 2)
    assert isinstance(one, Samples) and one.x.shape == (16, 1, 8, 8)
    assert torch.equal(one.x, DrawnData(X, Y, 1, 16).at(5, 2).x)
    for other in (data.at(6, 2), data.at(5, 3), replace(data, seed=2).at(5, 2)):
        assert not torch.equal(one.x, other.x)
    index = (one.x[:, None] == X[None]).flatten(2).all(2).double().argmax(1)
    assert torch.equal(Y[index], one.y)
    assert isinstance(replace(data, kind=Labelled).at(0), Labelled)


def test_every_picture_is_drawn_about_equally_often():
    data = DrawnData(torch.arange(40.0), Y, seed=0, batch_size=200)
    counts = torch.cat([data.at(step).x for step in range(20)]).long().bincount(minlength=40)
    assert counts.min() > 60 and counts.max() < 140  # 100 expected, standard deviation 10


def test_the_loss_is_edm_s_weighted_denoising():
    """|F - target|^2 = lambda(sigma) |D - x0|^2 in EDM's own process (2206.00364, eq. 8), here sample by sample."""
    generator = torch.Generator().manual_seed(3)
    model = net()
    with torch.no_grad():
        model.last.weight.normal_(generator=generator)
    seen = METHOD.loss({"student": model}, Samples(X, Y), now()).seen
    process, edm = model.process, Edm(0.002, 80.0, 0.5)
    _, sigma = move(seen["x_t"], seen["t"], process, edm)
    guess = to_x0(seen["guess"], "F", process, seen["x_t"], seen["t"])
    ours = (seen["guess"] - seen["target"]).square().mean((1, 2, 3))
    theirs = edm_weight(edm, sigma) * (guess - X).square().mean((1, 2, 3))
    calm = sigma > 0.02  # below, fp32 loses x0 - guess
    assert calm.sum() > 30
    torch.testing.assert_close(ours[calm], theirs[calm], rtol=2e-3, atol=0)


def test_times_fill_every_slice_of_the_log_normal_law():
    t = METHOD.times(1000, now())
    sigma = 0.5 * t.tan()
    shares = torch.special.ndtr((sigma.log() - METHOD.mean) / METHOD.std).sort().values
    inner = slice(5, -5)  # the ends are clipped to the process's bounds
    assert (shares[inner] * 1000 - torch.arange(1000)[inner] - 0.5).abs().max() < 0.51
    assert sigma.min() >= 0.002 - 1e-6 and sigma.max() <= 80 * 1.001
    assert torch.equal(t, METHOD.times(1000, now())) and not torch.equal(t, METHOD.times(1000, now(step=1)))


def test_the_share_of_labels_asked_for_is_hidden():
    told = []

    class Listener(torch.nn.Module):
        num_classes = 10

        def forward(self, x_t, t, s=None, cond=None):
            told.append(cond)
            return x_t

    for step in range(50):
        METHOD.loss({"student": Listener()}, Samples(X, Y), now(step))
    hidden = torch.stack(told) == 10
    assert abs(hidden.double().mean() - METHOD.unlabelled) < 0.03
    assert torch.equal(torch.stack(told)[~hidden], Y.expand(50, 40)[~hidden])


def test_the_average_is_that_of_a_power_profile():
    """Weights w_n averaged with decays (1 - 1/n)^(tail + 1) tend to sum n^tail w_n / sum n^tail (2312.02696, eq. 3)."""
    values, mean = torch.arange(1.0, 1001.0).double(), 0.0
    for step, value in enumerate(values.tolist()):
        decay = METHOD.average(now(step))
        mean = decay * mean + (1 - decay) * value
    powers = values**METHOD.tail
    assert mean == pytest.approx(float((powers * values).sum() / powers.sum()), rel=2e-3)


def test_bending_keeps_the_picture_s_range_and_none_keeps_the_picture():
    torch.testing.assert_close(bent(X, 0.0, now()), X, atol=1e-5, rtol=0)
    moved = bent(X, 0.2, now())
    assert moved.abs().max() <= 1.0001 and not torch.allclose(moved, X, atol=0.1)


def test_a_recipe_is_trained_once_and_anew_when_anything_changes(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    recipe = Recipe(METHOD, steps=3, batch_size=4)
    before = torch.get_rng_state()
    first = trained("tiny", net(), recipe, X, Y)
    assert "training tiny" in capfd.readouterr().err
    again = trained("tiny", net(), recipe, X, Y)
    assert capfd.readouterr().err == ""
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert torch.equal(before, torch.get_rng_state())
    slower = replace(METHOD, lr=1e-3)
    for changed in (replace(recipe, steps=4), replace(recipe, seed=1), replace(recipe, method=slower)):
        trained("tiny", net(), changed, X, Y)
        assert "training tiny" in capfd.readouterr().err
    trained("tiny", net(seed=1), recipe, X, Y)
    trained("tiny", net(), recipe, X + 1e-6, Y)
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 6
