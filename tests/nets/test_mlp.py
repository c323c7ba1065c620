"""The MLP: its size, its seeds, its extra inputs, its smoothness in time and whether it resolves the noise levels."""

import pytest
import torch

from workbench.benches import load
from workbench.nets.mlp import Mlp
from workbench.noise import TrigFlow, speak, to_x0

BATCH = 16


def points(seed=0, batch=BATCH, dim=2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, dim, generator=generator, dtype=dtype)
    t = 1.4 * torch.rand(batch, generator=generator, dtype=dtype) + 0.05
    return x, t, 0.5 * t


def test_the_ring_student_has_34946_parameters():
    # 2x128+128 in, 10x128 times, two of 128x128+128, 128x2+2 out
    assert sum(p.numel() for p in load("gmm2d").student(0).parameters()) == 384 + 1280 + 2 * 16512 + 258 == 34946


def test_equal_seeds_give_equal_weights_and_the_global_generator_is_not_read():
    state = torch.get_rng_state()
    one, same, other = Mlp(2, seed=3), Mlp(2, seed=3), Mlp(2, seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.x_in.weight, other.x_in.weight)


def test_extra_inputs_are_silent_at_birth():
    x, t, s = points()
    plain, rich = Mlp(2, seed=1), Mlp(2, seed=1, second_time=True, guided=True)
    assert torch.equal(plain(x, t), rich(x, t, s, None, torch.full((BATCH,), 5.0)))


def test_no_second_time_means_s_equals_t_and_no_guidance_means_one():
    x, t, s = points()
    net = Mlp(2, second_time=True, guided=True)
    with torch.no_grad():
        net.s_in.weight.normal_(generator=torch.Generator().manual_seed(0))
        net.guidance_in.weight.normal_(generator=torch.Generator().manual_seed(1))
    bare = net(x, t)
    assert torch.equal(bare, net(x, t, t)) and torch.equal(bare, net(x, t, None, None, torch.ones(BATCH)))
    assert not torch.allclose(bare, net(x, t, s), atol=1e-3)
    assert not torch.allclose(bare, net(x, t, None, None, torch.full((BATCH,), 2.0)), atol=1e-3)


def test_none_is_the_null_label_and_labels_matter():
    x, t, _ = points()
    net = Mlp(2, num_classes=4)
    assert torch.equal(net(x, t), net(x, t, None, torch.full((BATCH,), 4)))
    assert not torch.allclose(net(x, t), net(x, t, None, torch.zeros(BATCH, dtype=torch.long)), atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (dict(s=torch.zeros(BATCH)), "second_time=True"),
        (dict(guidance=torch.ones(BATCH)), "guided=True"),
        (dict(cond=torch.zeros(BATCH, dtype=torch.long)), "num_classes=K"),
        (dict(t=torch.zeros(BATCH, 1)), "one time per sample"),
    ],
)
def test_an_input_the_net_lacks_is_refused_with_the_fix(arguments, hint):
    x, t, _ = points()
    with pytest.raises(ValueError, match=hint):
        Mlp(2)(x, **{"t": t, **arguments})
    with pytest.raises(ValueError, match="at least 1"):
        Mlp(0)


def test_jvp_in_state_and_both_times_is_the_finite_difference():
    x, t, s = points(dtype=torch.float64)
    net = Mlp(2, second_time=True).double()
    torch.nn.init.normal_(net.s_in.weight, generator=torch.Generator().manual_seed(0))
    tangent = torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=x.dtype)
    along = tangent, torch.ones_like(t), 0.5 * torch.ones_like(s)
    with torch.no_grad():
        _, slope = torch.func.jvp(lambda *z: net(*z), (x, t, s), along)
        ahead, behind = (net(*(z + h * v for z, v in zip((x, t, s), along, strict=True))) for h in (1e-5, -1e-5))
    assert torch.allclose(slope, (ahead - behind) / 2e-5, rtol=1e-6, atol=1e-7)


def test_the_clean_state_is_its_own_denoising():
    x, t, _ = points()
    net = Mlp(2)
    assert torch.equal(to_x0(net(x, 0 * t), "F", net.process, x, 0 * t), x)


def test_it_resolves_noise_levels_from_a_fiftieth_to_ten():
    bench = load("gmm2d")
    process, data, net = bench.process(TrigFlow), bench.data(0, 256), bench.student(0)
    teacher, generator = speak(bench.teacher(), process, "F"), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)

    def error(x, sigma):
        t = process.time(torch.ones_like(sigma), sigma)
        x_t = process.add_noise(x, t, torch.randn(x.shape, generator=generator))
        return (net(x_t, t) - teacher(x_t, t)).square().mean()

    for step in range(300):
        loss = error(data.at(step).x, torch.exp(6.9 * torch.rand(256, generator=generator) - 4.6))  # 0.01 to 10
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x = bench.data(1, 2000).at(0).x
    with torch.no_grad():
        errors = {sigma: error(x, torch.full((2000,), sigma)).sqrt().item() for sigma in (0.02, 0.1, 0.5, 2.0, 10.0)}
    assert max(errors.values()) < 0.4, errors  # F is of size 1, and takes 1500 steps for 0.1
