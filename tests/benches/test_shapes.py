"""Shapes: what is drawn is what is said, the nets that read and paint it are as good as written here."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from workbench.benches import load
from workbench.benches.assemble import born, generate
from workbench.benches.bench import Generated
from workbench.benches.shapes_captions import CAPTIONS, COLOURS, KINDS, LAYOUTS, PLACES, SINGLE, SIZES, attributes
from workbench.benches.shapes_drawing import FINE, GROUNDS, RGB, SHADE, classes, render, scenes
from workbench.benches.shapes_measures import agreement, balance, by_attribute, spread
from workbench.benches.shapes_nets import Sizes, fresh, whole
from workbench.benches.shapes_nets import painted as painted_by
from workbench.benches.shapes_training import Autoencoding, calm, trained
from workbench.benches.training import Recipe
from workbench.methods.steps.consistency import ConsistencyDistillation
from workbench.nets.classifier import predictions
from workbench.noise import Edm
from workbench.solvers import Consistency, Euler, Sampler
from workbench.teachers.guidance import Guided
from workbench.train.loop import train

EDGE = {"circle": 2 * math.pi, "square": 4 * math.sqrt(math.pi), "triangle": 3 * math.sqrt(4 * math.pi / math.sqrt(3)),
        "cross": 8 * math.sqrt(9 * math.pi / 20)}  # perimeters of shapes of area pi  # fmt: skip


long = pytest.mark.skipif(not os.environ.get("WORKBENCH_LONG"), reason="trains the whole bench where it is not cached, "
                          "eight minutes of one core: WORKBENCH_LONG=1 python -m pytest tests/benches/test_shapes.py")
HASTY = Sizes(unet=(16, 32), text=32, vae=(8, 16, 16), steps=20, batch_size=16, vae_steps=60, judge_steps=60)


@pytest.fixture(scope="module")
def bench():
    """The bench with nets that were trained for a moment: all but their quality."""
    return load("shapes", sizes=HASTY, count=1024)


@pytest.fixture(scope="module")
def whole_bench():
    return load("shapes")


@pytest.fixture(scope="module")
def some():
    told = scenes(5, torch.arange(1500))
    return told, render(told)


@pytest.fixture(scope="module")
def unseen(bench):
    """Pictures that no net was trained on."""
    told = bench.scenes(10**6, 1000)
    return told, render(told).x


def test_captions_name_the_attributes_of_their_row():
    assert len(set(CAPTIONS)) == len(CAPTIONS) == 672 and SINGLE == 160
    assert CAPTIONS[0] == "a small red circle on the left" and CAPTIONS[-1] == "a yellow cross above a yellow cross"
    for caption, (layout, size, kind, colour, kind2, colour2) in zip(CAPTIONS, attributes().tolist(), strict=True):
        first, _, second = caption.partition(LAYOUTS[layout])
        assert first.split()[-2:] == [COLOURS[colour], KINDS[kind]]
        assert (size == -1) == (kind2 != -1) == (layout >= len(PLACES)) and (size == -1 or SIZES[size] in first)
        assert second.split() == ([] if kind2 == -1 else ["a", COLOURS[colour2], KINDS[kind2]])


def test_areas_are_those_of_the_closed_forms(some):
    told, (_, masks) = some
    for column in (0, 1):
        for kind, name in enumerate(KINDS):
            here = told.kind[:, column] == kind
            area, radius = masks[here, column].sum((1, 2)), told.radius[here, column]
            wrong = area - math.pi * radius**2
            assert len(wrong) > 50 and (wrong.abs() <= EDGE[name] * radius / (2 * FINE)).all()
            assert abs(float(wrong.mean())) < 0.25  # no bias: pixels of 35 to 145
    assert (masks[:, 1][told.kind[:, 1] == -1] == 0).all() and masks.sum(1).max() <= 1


def test_colours_are_those_of_the_scene(some):
    told, (x, masks) = some
    value = (x + 1) / 2
    ground = masks.sum(1, keepdim=True) == 0
    wrong = (value - told.ground[:, None, None, None]).abs() * ground
    assert wrong.max() <= 0.5 / 255 + 1e-6 and (value * 255 - (value * 255).round()).abs().max() < 1e-4  # 256 levels
    for column in (0, 1):
        full = (masks[:, column] == 1)[:, None]
        wrong = (value - told.colour[:, column, :, None, None]).abs() * full
        assert wrong.max() <= 0.5 / 255 + 1e-6 and full.flatten(1).any(1)[told.kind[:, column] >= 0].all()


def halfway(line):
    """Middle (N, 2), in pixels, of what is covered of lines (N, 2, 32)."""
    last = 32 - (line.flip(-1) > 0).float().argmax(-1)
    return ((line > 0).float().argmax(-1) + last) / 2


def test_the_picture_shows_what_the_caption_says(some):
    """Read from pixels alone: where the masks lie, how large they are, which base colour is nearest."""
    told, (x, masks) = some
    table, middle = attributes()[told.caption], torch.stack([halfway(masks.amax(2)), halfway(masks.amax(3))], -1)
    inner = (masks == 1).float()
    colour = ((x[:, None] + 1) / 2 * inner[:, :, None]).sum((3, 4)) / inner.sum((2, 3)).clamp(min=1)[..., None]
    nearest = (colour[:, :, None] - torch.tensor(RGB)).square().sum(-1).argmin(-1)
    assert torch.equal(nearest[:, 0], table[:, 3]) and torch.equal(nearest[:, 1][table[:, 4] >= 0],
                                                                   table[:, 5][table[:, 4] >= 0])
    one, way = table[:, 4] == -1, middle[:, 0] - 16
    far, side = way.abs().max(1).values, torch.where(way[:, 0].abs() > way[:, 1].abs(), way[:, 0].sign(),
                                                    2 * way[:, 1].sign())
    seen = torch.where(far < 3, 0, side).int()
    named = torch.tensor([-1, 1, -2, 2, 0])[table[:, 0].clamp(max=4)].int()
    assert torch.equal(seen[one], named[one])
    big = masks[:, 0].sum((1, 2)) > 80
    assert torch.equal(big[one], table[one, 1] == 1)
    left, above = (table[:, 0] == LAYOUTS.index(name) for name in ("left of", "above"))
    assert (middle[left, 0, 0] + 8 < middle[left, 1, 0]).all() and (middle[above, 0, 1] + 8 < middle[above, 1, 1]).all()
    light = x[:, :, 0, 0].mean(1) > 0  # a corner is ground
    assert torch.equal(light, told.light) and abs(float(told.light.float().mean()) - 0.5) < 0.05


def test_pixel_classes(some):
    told, (_, masks) = some
    labels = classes(told, masks)
    assert labels.shape == (1500, 32, 32) and labels.max() == len(KINDS)
    for row in range(20):
        assert set(labels[row].unique().tolist()) == {0, *(int(k) + 1 for k in told.kind[row] if k >= 0)}


def test_pictures_are_functions_of_seed_and_index(some):
    told, (x, _) = some
    again = scenes(5, torch.tensor([1203, 7]))
    assert torch.equal(again.caption, told.caption[[1203, 7]]) and torch.equal(render(again).x, x[[1203, 7]])
    other = scenes(6, torch.arange(64))
    assert not torch.equal(render(other).x, x[:64]) and (other.caption == told.caption[:64]).float().mean() < 0.1
    asked = scenes(5, torch.arange(3), torch.tensor([3, 3, 600]))
    assert asked.caption.tolist() == [3, 3, 600] and not torch.equal(asked.centre[0], asked.centre[1])
    assert (told.colour.min() >= 0) and SHADE < 0.1 and GROUNDS[0][1] < 0.3 < GROUNDS[1][0]


def test_data_are_counted_latents_of_unit_spread(bench):
    batch = bench.data(0, 32).at(3)
    assert batch.x.shape == (32, 4, 8, 8) and batch.y.shape == (32,) and torch.equal(batch.x, bench.data(0, 32).at(3).x)
    x, y = bench.latents
    both, _ = replace(bench, pairs=True).latents
    assert len(both) == 1024 and float(both.double().std(correction=0)) == pytest.approx(1, abs=1e-5)
    assert 450 < len(x) == len(y) < 570 and bench.num_classes == SINGLE > int(y.max())
    told = bench.drawn.scenes
    alone = (told.caption < SINGLE).nonzero()[:4, 0]
    first = bench.encode(bench.pictures(0, int(alone[-1]) + 1).x[alone])
    torch.testing.assert_close(first, x[:4], atol=1e-4, rtol=1e-4)
    assert bench.process() == Edm(bench.sigma_min, bench.sigma_max, bench.sigma_data) and 14 < bench.sigma_max < 15
    assert 0.9 < bench.sigma_data < 1.1


def test_start_asks_each_caption_twice(bench):
    noise, y = bench.start(400, 1)
    assert torch.equal(y[::2], y[1::2]) and len(y.unique()) > 100 and torch.equal(y, bench.start(400, 2)[1])
    assert (y < SINGLE).all() and 0.35 < (replace(bench, pairs=True).asked(400) < SINGLE).float().mean() < 0.65
    assert abs(float(noise.std()) - 1) < 0.01


@long
def test_the_judge_knows_pictures_it_has_not_seen(whole_bench, unseen):
    bench = whole_bench
    told, x = unseen
    logits = predictions(bench.judge(), x)[1]
    print("judge on unseen pictures:", agreement(logits, told.caption), by_attribute(logits, told.caption))
    assert agreement(logits, told.caption) >= 0.98 and 0.9 < balance(logits) <= 1
    assert agreement(logits, told.caption.roll(1)) < 0.02  # the control: another picture's caption


@long
def test_the_autoencoder_keeps_what_the_captions_name(whole_bench, unseen):
    bench = whole_bench
    told, x = unseen
    x, y = x[:256], told.caption[:256]
    back = bench.decode(bench.encode(x))
    signal = 10 * math.log10(4 / float((back - x).square().mean()))
    kept = agreement(predictions(bench.judge(), back)[1], y)
    print(f"autoencoder on unseen pictures: {signal:.2f} dB, agreement {kept:.3f}")
    assert back.shape == x.shape and back.abs().max() <= 1 and signal >= 27 and kept >= 0.95


@long
def test_a_perfect_sampler_and_broken_ones(whole_bench):
    bench = whole_bench
    known = bench.reference
    print("perfect:", known)
    assert set(known) == set(bench.metrics) and known["agreement"].low >= 0.93
    assert known["precision"].mean > 0.9 and known["recall"].mean > 0.9
    assert 0.9 < known["diversity"].mean < 1.1 and known["balance"].mean > 0.85
    y = bench.asked(bench.samples)
    x = bench.encode(bench.pictures(77 * 10**6, len(y), y).x)
    shuffled = bench.measure(Generated(x, y.roll(2)))
    assert shuffled["agreement"] < 0.02 and shuffled["frechet"] < 1.5 * known["frechet"].high
    same = torch.tensor([int((y == caption).nonzero()[0, 0]) for caption in y])  # one picture for each caption
    collapsed = bench.measure(Generated(x[same], y))
    assert collapsed["diversity"] < 1e-6 and collapsed["agreement"] > 0.9
    noise = bench.measure(Generated(torch.randn(x.shape, generator=torch.Generator().manual_seed(0)), y))
    assert noise["agreement"] < 0.02 and noise["frechet"] > 3 * known["frechet"].high
    nothing = bench.measure(Generated(x * float("nan"), y))
    assert set(nothing) == set(bench.metrics) and all(value != value for value in nothing.values())
    assert math.isnan(bench.measure(Generated(x[:64]))["agreement"])
    assert math.isnan(spread(bench.decode(x[:4]), torch.arange(4)))


@pytest.fixture(scope="module")
def painted(whole_bench):
    """The teacher's samples by guidance scale: 50 Euler steps down its own table."""
    bench = whole_bench
    sampler = Sampler(Euler(), "uniform", 50)
    nets = {1.0: bench.teacher(), 3.0: Guided(bench.teacher(), 3.0)}
    return {scale: generate(bench, net, sampler, n=256) for scale, net in nets.items()}


@long
def test_the_teacher_paints_what_it_is_told(whole_bench, painted):
    bench = whole_bench
    found = {}
    for scale, drawn in painted.items():
        found[scale] = bench.measure(drawn)
        logits = predictions(bench.judge(), bench.decode(drawn.x))[1]
        print(f"teacher, guidance {scale}: {found[scale]} {by_attribute(logits, drawn.y)}")
        assert agreement(logits, drawn.y.roll(2)) < 0.06  # the control: another sample's caption
    assert found[1.0]["agreement"] >= AGREEMENT[1.0] and found[3.0]["agreement"] >= AGREEMENT[3.0]
    assert found[1.0]["diversity"] > 0.8 and found[1.0]["balance"] > 0.6


AGREEMENT = {1.0: 0.38, 3.0: 0.44}  # at least; chance is 1 in 160


def test_without_a_caption_the_teacher_paints_everything(bench):
    noise, _ = bench.start(64, 0)
    with torch.no_grad():
        t = torch.full((64,), 500.0)
        empty = torch.full((64,), bench.num_classes)
        assert torch.equal(bench.teacher()(noise, t), bench.teacher()(noise, t, None, empty))


def test_a_run_is_born_and_learns(bench):
    run = born(bench, ConsistencyDistillation(), steps=3, batch_size=8)
    before = [weight.detach().clone() for weight in run.nets["student"].parameters()]
    kept = {name: weight.clone() for name, weight in bench.teacher().state_dict().items()}
    losses = [float(step.taken[0].loss.total) for step in train(run)]
    after = list(run.nets["student"].parameters())
    assert all(math.isfinite(loss) for loss in losses) and len(losses) == 3
    assert any(not torch.equal(a, b) for a, b in zip(after, before, strict=True))
    assert all(torch.equal(weight, kept[name]) for name, weight in bench.teacher().state_dict().items())
    drawn = generate(bench, run, Sampler(Consistency(), "trig", 1), n=8)
    assert drawn.x.shape == (8, 4, 8, 8) and set(bench.measure(replaced(drawn))) == set(bench.metrics)


def replaced(drawn):
    return drawn._replace(x=drawn.x.clamp(-4, 4))


PLAIN = """
import json, sys, torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file
folder, out, captions = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
torch.set_num_threads(1)
pipe = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True, use_safetensors=True)
pipe.set_progress_bar_config(disable=True)
found = {}
for scale in (1.0, 3.0):
    x = pipe(captions, num_inference_steps=50, guidance_scale=scale, output_type="pt",
             generator=torch.Generator().manual_seed(0)).images
    found[str(scale)] = x.contiguous()
assert not [name for name in sys.modules if name.startswith("workbench")]
save_file(found, out)
"""


@long
def test_plain_diffusers_loads_the_folder_and_paints(whole_bench, tmp_path):
    bench = whole_bench
    folder = bench.pipeline_folder()
    assert json.loads((folder / "model_index.json").read_text())["_class_name"] == "StableDiffusionPipeline"
    y = bench.asked(128)[::2]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", PLAIN, str(folder), str(tmp_path / "x"),
                    json.dumps([CAPTIONS[i] for i in y])], check=True, cwd=tmp_path, env=env, timeout=500)
    from safetensors.torch import load_file

    for scale, x in load_file(tmp_path / "x").items():
        logits = predictions(bench.judge(), 2 * x - 1)[1]
        print(f"plain diffusers, DDIM 50, guidance {scale}: agreement {agreement(logits, y):.3f}")
        assert x.shape == (64, 3, 32, 32) and agreement(logits, y) >= AGREEMENT[float(scale)] - 0.1
        assert agreement(logits, y.roll(1)) < 0.1


def test_training_twice_gives_the_same_bytes(bench, tmp_path, monkeypatch):
    x, y = bench.latents
    sizes, found = Sizes(steps=3, batch_size=8), []
    for place in ("one", "two"):
        monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / place))
        torch.manual_seed(len(found))  # the global generator is of no account
        pipe = painted_by(fresh(sizes), sizes, x[:64], y[:64])
        trained("vae", calm(pipe.vae), {}, Recipe(Autoencoding(), 3, 4), (x[:1],),
                lambda: (bench.pictures(0, 16).x, torch.zeros(16, dtype=torch.long)))  # fmt: skip
        found.append([*pipe.unet.state_dict().values(), *pipe.text_encoder.state_dict().values(),
                      *pipe.vae.state_dict().values()])  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    born_so = [*fresh(sizes).unet.state_dict().values()]
    assert not all(torch.equal(a, b) for a, b in zip(born_so, found[0][: len(born_so)], strict=True))


def test_a_damaged_folder_is_written_anew(bench):
    folder = bench.pipeline_folder()
    assert whole(folder)
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(bytes(raw))
    assert not whole(folder) and bench.pipeline_folder() == folder and whole(folder)


def test_another_drawing_is_another_bench():
    assert replace(load("shapes"), drawing_seed=1).drawn.told == {"seed": 1, "count": 8192}
