"""The classifiers: shapes, seeds, the meaning of features, and that they learn."""

import pytest
import torch

from workbench.nets.classifier import ConvClassifier, MlpClassifier, predictions
from workbench.nets.clone import clone

KINDS = [ConvClassifier, MlpClassifier]


@pytest.mark.parametrize(("net", "width"), [
    (ConvClassifier(), 64), (ConvClassifier(shape=(3, 7, 9), widths=(8, 8), hidden=5), 5),
    (MlpClassifier(widths=(32, 16)), 16), (MlpClassifier(shape=(12,), widths=(4,)), 4),
])
def test_logits_are_the_head_of_the_features(net, width):
    x = torch.randn(6, *net.settings["shape"], generator=torch.Generator().manual_seed(0))
    features = net.features(x)
    assert features.shape == (6, width)
    assert torch.equal(net.head(features), net(x)) and net(x).shape == (6, 10)


def test_widths_set_the_size():
    count = lambda net: sum(p.numel() for p in net.parameters())  # noqa: E731
    assert count(MlpClassifier(widths=(16,))) == 64 * 16 + 16 + 16 * 10 + 10
    assert count(ConvClassifier()) == 320 + 64 + 18496 + 128 + 73856 + 256 + (512 * 64 + 64) + 650
    with pytest.raises(ValueError, match="at least one hidden layer"):
        MlpClassifier(widths=())


@pytest.mark.parametrize("kind", KINDS)
def test_weights_depend_on_the_seed_alone(kind):
    before = torch.get_rng_state()
    one, same, other = kind(seed=1), kind(seed=1), kind(seed=2)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.head.weight, other.head.weight)


@pytest.mark.parametrize("kind", KINDS)
def test_clones_answer_alike(kind):
    net = kind(seed=1)
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(clone(net)(x), net(x))


def test_predictions_do_not_depend_on_the_batches_they_are_made_in():
    net = ConvClassifier()
    x = torch.randn(10, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    (features, logits), (again, logits_again) = predictions(net, x), predictions(net, x, batch=3)
    torch.testing.assert_close(features, again)
    torch.testing.assert_close(logits, logits_again)
    assert not logits.requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_learns_which_half_is_bright(kind):
    generator = torch.Generator().manual_seed(0)
    x = 0.5 * torch.randn(128, 1, 8, 8, generator=generator)
    y = torch.arange(128) % 2
    x[y == 1, :, :, :4] += 0.5
    x[y == 0, :, :, 4:] += 0.5
    net = kind(num_classes=2, widths=(16,))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(net(x[:64]), y[:64])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (predictions(net, x[64:])[1].argmax(1) == y[64:]).double().mean() > 0.95
