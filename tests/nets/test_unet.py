"""The U-Net: its contract as a net, its extra inputs, its taps and its derivative in time."""

import pytest
import torch

from workbench.nets.clone import clone
from workbench.nets.unet import UNet
from workbench.noise import to_x0

SMALL = dict(widths=(8, 16), condition=16, num_classes=3, sigma_data=0.7)


def stirred(seed=0, **settings):
    """A small net none of whose weights is zero, as after training."""
    net = UNet(**{**SMALL, **settings})
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return net


def inputs(count=4, shape=(1, 8, 8), dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, *shape, generator=generator, dtype=dtype)
    return x, torch.linspace(0.1, 1.5, count, dtype=dtype), torch.arange(count) % 3


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 6, 10), (2, 16, 16)])
@pytest.mark.parametrize("heads", [0, 2])
def test_answers_in_the_shape_it_is_asked(shape, heads):
    net = stirred(channels=shape[0], attention_heads=heads, blocks=2)
    x, t, y = inputs(shape=shape)
    assert net(x, t, None, y).shape == x.shape


def test_default_size_is_about_700_thousand():
    assert 6.5e5 < sum(p.numel() for p in UNet(num_classes=10).parameters()) < 7.5e5


def test_refuses_sizes_it_cannot_halve():
    with pytest.raises(ValueError, match="must divide by 4 for 3 widths"):
        UNet(widths=(8, 8, 8))(torch.zeros(1, 1, 6, 6), torch.zeros(1))


def test_at_time_zero_the_prediction_is_the_state():
    net = stirred()
    x, _, y = inputs()
    t = torch.zeros(4)
    assert torch.equal(to_x0(net(x, t, None, y), net.form, net.process, x, t), x)


def test_every_sample_is_on_its_own():
    net = stirred(attention_heads=2)
    x, t, y = inputs()
    alone = torch.cat([net(x[i : i + 1], t[i : i + 1], None, y[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(net(x, t, None, y), alone)


def test_time_label_second_time_and_guidance_all_matter():
    net = stirred(second_time=True, guided=True)
    x, t, y = inputs()
    plain, g = net(x, t, None, y), torch.full((4,), 3.0)
    for other in (net(x, t + 0.01, None, y), net(x, t, None, (y + 1) % 3), net(x, t, t / 2, y), net(x, t, None, y, g)):
        assert (other - plain).flatten(1).abs().amax(1).min() > 1e-5


def test_nothing_given_means_no_label_the_same_time_and_guidance_off():
    net = stirred(second_time=True, guided=True)
    x, t, _ = inputs()
    null = torch.full((4,), 3)
    torch.testing.assert_close(net(x, t), net(x, t, t, null, torch.ones(4)))


def test_a_clone_with_extra_inputs_answers_the_same_until_trained():
    net = stirred()
    wider = clone(net, second_time=True, guided=True)
    x, t, y = inputs()
    assert torch.equal(wider(x, t, t / 3, y, torch.full((4,), 5.0)), net(x, t, None, y))
    wider(x, t, t / 3, y, torch.full((4,), 5.0)).square().mean().backward()
    for layer in (wider.conditioner.second_time, wider.conditioner.guidance):
        assert layer.weight.grad.abs().max() > 0


def test_inputs_it_lacks_are_refused_with_the_way_to_add_them():
    x, t, y = inputs()
    with pytest.raises(ValueError, match="second_time=True"):
        stirred()(x, t, t / 2, y)
    with pytest.raises(ValueError, match="guided=True"):
        stirred()(x, t, None, y, torch.ones(4))
    with pytest.raises(ValueError, match="takes no labels"):
        stirred(num_classes=None)(x, t, None, y)
    with pytest.raises(ValueError, match="one time per sample"):
        stirred()(x, torch.tensor(0.3), None, y)


def test_derivative_along_state_and_time_is_that_of_small_steps():
    net = stirred(attention_heads=2, second_time=True).double()
    x, t, y = inputs(dtype=torch.float64)
    dx, dt, s = torch.ones_like(x) / 3, torch.linspace(-1, 1, 4, dtype=torch.float64), t / 2
    value, rate = torch.func.jvp(lambda a, b: net(a, b, s, y), (x, t), (dx, dt))
    h = 1e-6
    near = (net(x + h * dx, t + h * dt, s, y) - net(x - h * dx, t - h * dt, s, y)) / (2 * h)
    torch.testing.assert_close(value, net(x, t, s, y))
    torch.testing.assert_close(rate, near, rtol=1e-6, atol=1e-7)


def test_taps_give_the_activations_on_the_way_and_stop_there():
    net = stirred()
    x, t, y = inputs()
    assert net.taps == ("down0", "down1", "bottleneck", "up1", "up0")
    told = dict(net.stages(x, t, None, y))
    found = net.features(x, t, cond=y, taps=("bottleneck", "down0"))
    assert list(found) == ["bottleneck", "down0"] and found["bottleneck"].shape == (4, 16, 4, 4)
    for name, value in found.items():
        assert torch.equal(value, told[name])
    calls = []
    for block in net.up[0]:
        block.register_forward_hook(lambda *_: calls.append(1))
    net.features(x, t, cond=y)
    assert not calls
    with pytest.raises(ValueError, match="unknown tap 'middle'; this net has down0, down1, bottleneck, up1, up0"):
        net.features(x, t, taps=("middle",))


def test_weights_depend_on_seed_and_name_alone():
    before = torch.get_rng_state()
    one, same, other = UNet(**SMALL, seed=3), UNet(**SMALL, seed=3, guided=True), UNet(**SMALL, seed=4)
    assert torch.equal(before, torch.get_rng_state())
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, same.state_dict()[name])
    assert not torch.equal(one.first.weight, other.first.weight)


def test_every_weight_learns_and_the_loss_falls():
    net = UNet(**SMALL, attention_heads=2)
    x, t, y = inputs(16)
    target = x.flip(-1) * t.cos()[:, None, None, None]
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    before = {name: weight.clone() for name, weight in net.named_parameters()}
    losses = []
    for _ in range(60):
        loss = (net(x, t, None, y) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert [name for name, weight in net.named_parameters() if torch.equal(weight, before[name])] == []
