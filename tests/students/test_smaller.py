"""Smaller students: fewer blocks with the teacher's weights, fewer channels with fresh ones, saved as diffusers'."""

import json

import pytest
import torch

from workbench.benches.assemble import born, generate
from workbench.benches.pipeline import PipelineBench
from workbench.export.to_diffusers import export
from workbench.methods.steps.consistency import ConsistencyDistillation
from workbench.nets.clone import clone
from workbench.solvers import Euler
from workbench.students.narrow import narrow
from workbench.students.shallow import shallow
from workbench.students.whole import Whole
from workbench.teachers.from_diffusers import Teacher
from workbench.teachers.from_diffusers.network import Network
from workbench.teachers.from_diffusers.small import awake, build
from workbench.train.loop import train

PROMPTS = ("a red circle", "a big blue square")
DEEPER = {  # what the small ones have too few of to leave any out
    "ddpm": {"layers_per_block": 3}, "sd": {"layers_per_block": 2},
    "sdxl": {"layers_per_block": (2, 1), "transformer_layers_per_block": (1, 4)},
    "sd3": {"num_layers": 4, "dual_attention_layers": (0, 1), "qk_norm": "rms_norm"},
    "flux": {"num_layers": 2, "num_single_layers": 5}, "wan": {"num_layers": 4},
}  # fmt: skip
HALF = {
    "ddpm": {"layers_per_block": 2}, "sd": {"layers_per_block": 1},
    "sdxl": {"layers_per_block": (1, 1), "transformer_layers_per_block": (1, 2)},
    "sd3": {"num_layers": 2, "dual_attention_layers": (0,)}, "flux": {"num_layers": 1, "num_single_layers": 3},
    "wan": {"num_layers": 2},
}  # fmt: skip


def deeper(kind):
    """The small pipeline with more blocks."""
    pipe = build(kind)
    part = "unet" if hasattr(pipe, "unet") else "transformer"
    old = getattr(pipe, part)
    config = {name: value for name, value in old.config.items() if not name.startswith("_")}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        pipe.register_modules(**{part: awake(type(old).from_config(config | DEEPER[kind]))})
    return pipe


@pytest.fixture(scope="module")
def teachers():
    return {kind: Teacher.of(deeper(kind), PROMPTS if kind != "ddpm" else (), size=(32, 32), frames=5)
            for kind in DEEPER}


def asked(teacher, seed=0):
    x = torch.randn(2, *teacher.shape, generator=torch.Generator().manual_seed(seed))
    cond = torch.arange(2) if teacher.net.num_classes else None
    return {"x_t": x, "t": torch.full((2,), 0.5 * teacher.process.t_max), "cond": cond}


def size(net):
    return sum(weight.numel() for weight in net.parameters())


def settings(model):
    return json.loads(json.dumps({name: value for name, value in model.config.items() if name[0] != "_"}))


def reloaded(net, folder):
    net.model.save_pretrained(folder)
    assert list(folder.glob("*.safetensors")) and not list(folder.glob("*.bin"))
    return type(net.model).from_pretrained(folder)


@pytest.mark.parametrize("smaller", [shallow, narrow])
@pytest.mark.parametrize("kind", DEEPER)
def test_a_smaller_network_is_diffusers_own(teachers, kind, smaller, tmp_path):
    """It is smaller, speaks as the teacher does, and is the same when it is saved and loaded."""
    teacher = teachers[kind]
    small, call = smaller(teacher.net, 0.5), asked(teacher)
    assert size(small) < 0.85 * size(teacher.net) and type(small.model) is type(teacher.net.model)
    assert (small.process, small.form, small.conditions) == (teacher.process, teacher.net.form, teacher.net.conditions)
    said = small(**call)
    assert said.shape == call["x_t"].shape and bool(said.isfinite().all())
    again = reloaded(small, tmp_path / "net")
    assert settings(again) == settings(small.model) != settings(teacher.net.model)
    small.model = again.eval()
    assert torch.equal(small(**call), said)


@pytest.mark.parametrize("kind", DEEPER)
def test_the_blocks_kept_are_the_teachers(teachers, kind):
    """Each weight is one of the teacher's, under a number that the config explains."""
    teacher = teachers[kind]
    small = shallow(teacher.net, 0.5)
    assert {name: small.model.config[name] for name in HALF[kind]} == HALF[kind]
    theirs = {(value.shape, float(value.double().sum())) for value in teacher.net.state_dict().values()}
    assert all((value.shape, float(value.double().sum())) in theirs for value in small.state_dict().values())
    assert not {p.data_ptr() for p in small.parameters()} & {p.data_ptr() for p in teacher.net.parameters()}


KEPT = {  # (in the copy, in the teacher): a transformer's last, the first on the way down, both ends on the way up
    "sd": [("down_blocks.0.resnets.0", "down_blocks.0.resnets.0"), ("up_blocks.0.resnets.0", "up_blocks.0.resnets.0"),
           ("up_blocks.0.resnets.1", "up_blocks.0.resnets.2"),
           ("up_blocks.1.attentions.1", "up_blocks.1.attentions.2")],
    "sdxl": [("mid_block.attentions.0.transformer_blocks.1", "mid_block.attentions.0.transformer_blocks.3")],
    "sd3": [("transformer_blocks.0", "transformer_blocks.0"), ("transformer_blocks.1", "transformer_blocks.3")],
    "flux": [("transformer_blocks.0", "transformer_blocks.1"),
             ("single_transformer_blocks.1", "single_transformer_blocks.2")],
    "wan": [("blocks.1", "blocks.3")],
}  # fmt: skip


@pytest.mark.parametrize("kind", KEPT)
def test_which_blocks_are_kept(teachers, kind):
    teacher = teachers[kind]
    small = shallow(teacher.net, 0.5).model
    for mine, theirs in KEPT[kind]:
        pairs = zip(small.get_submodule(mine).parameters(), teacher.net.model.get_submodule(theirs).parameters(),
                    strict=True)
        assert all(torch.equal(*pair) for pair in pairs)


def test_leaving_out_blocks_that_do_nothing_changes_nothing(teachers):
    """Wan whose second and third block add nothing answers as its copy without them; with others it does not."""
    teacher = Teacher.of(deeper("wan"), PROMPTS, size=(32, 32), frames=5)
    call = asked(teacher)
    assert (shallow(teacher.net, 0.5)(**call) - teacher.net(**call)).abs().max() > 1e-3
    with torch.no_grad():
        for block in teacher.net.model.blocks[1:3]:
            for layer in (block.attn1.to_out[0], block.attn2.to_out[0], block.ffn.net[2]):
                layer.weight.zero_()
                layer.bias.zero_()
    torch.testing.assert_close(shallow(teacher.net, 0.5)(**call), teacher.net(**call), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("config", "numbers", "smaller"), [  # published U-Nets, in millions, and BK-SDM-Base
    ({"cross_attention_dim": 768, "attention_head_dim": 8}, 860, 580),
    ({"cross_attention_dim": 2048, "attention_head_dim": (5, 10, 20), "block_out_channels": (320, 640, 1280),
      "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
      "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), "use_linear_projection": True,
      "transformer_layers_per_block": (1, 2, 10), "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
      "projection_class_embeddings_input_dim": 2816}, 2567, None),
])
def test_published_sizes(teachers, config, numbers, smaller):
    """At full size without its weights: SD 1.5 with one pair of blocks fewer in each stage is BK-SDM-Base."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        model = UNet2DConditionModel(sample_size=64, **config)
    net = teachers["sd"].net
    small = shallow(Network(model, net.kind, net.process, net.form, net.conditions), 0.5)
    assert round(size(model) / 1e6) == numbers and small.model.device.type == "meta"
    assert size(small) < 0.7 * size(model)
    assert smaller is None or round(size(small) / 1e6, -1) == smaller


@pytest.mark.parametrize("smaller", [shallow, narrow])
def test_precision_is_kept(smaller):
    """The network's own, weight by weight; a table of positions stays exact where it was."""
    pipe = deeper("wan")
    pipe.transformer.to(torch.bfloat16).condition_embedder.to(torch.float32)
    net = Teacher.of(pipe, PROMPTS, size=(32, 32), frames=5).net
    before = {name: weight.dtype for name, weight in net.named_parameters()}
    small = smaller(net, 0.5)
    assert {name: weight.dtype for name, weight in small.named_parameters()}.items() <= before.items()
    assert set(before.values()) == {torch.bfloat16, torch.float32}


def test_narrow_networks_are_drawn_from_their_seed(teachers):
    teacher = teachers["sd"]
    state = torch.get_rng_state()
    one, same, other = (narrow(teacher.net, 0.5, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert any(not torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize(("kind", "share", "config"), [
    ("sd", 0.5, {"block_out_channels": (4, 8)}), ("sd", 0.7, {"block_out_channels": (4, 12)}),
    ("sdxl", 0.1, {"block_out_channels": (4, 4)}),
    ("sd3", 0.5, {"num_attention_heads": 2, "caption_projection_dim": 16}),
    ("sd3", 0.3, {"num_attention_heads": 1, "caption_projection_dim": 8}), ("flux", 0.5, {"num_attention_heads": 1}),
    ("wan", 0.5, {"num_attention_heads": 1, "ffn_dim": 24}),
])  # fmt: skip
def test_widths_are_what_groups_and_heads_allow(teachers, kind, share, config):
    small = narrow(teachers[kind].net, share).model.config
    assert {name: small[name] for name in config} == config


def test_what_cannot_be_made_smaller():
    flux = Teacher.of(build("flux"), PROMPTS, size=(32, 32)).net
    sd = Teacher.of(build("sd"), PROMPTS).net
    for keep in (0.5, 0.0, -1, 1.0, 1.5):
        with pytest.raises(ValueError, match="leaves no block out of FluxTransformer2DModel .*num_single_layers = 1"):
            shallow(flux, keep)
    for share in (0.0, 1.0, 2.0, -0.5):
        with pytest.raises(ValueError, match="give one between 0 and 1"):
            narrow(sd, share)
    with pytest.raises(ValueError, match="makes UNet2DConditionModel no narrower"):
        narrow(sd, 0.9)
    sd.model.register_to_config(transformer_layers_per_block=((1,), (2,)))
    with pytest.raises(ValueError, match="a number for each attention: such a network cannot be made shallower"):
        shallow(sd, 0.5)


# -- in a training -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pipelines")
    for kind in ("sd", "sd3", "flux", "wan"):
        deeper(kind).save_pretrained(root / kind, safe_serialization=True)
    return root


def tensors(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


UNUSED = {"sd3": {"attn.add_q_proj.weight", "attn.add_q_proj.bias", "attn.norm_added_q.weight"}}  # its last text


@pytest.mark.parametrize(("kind", "smaller"), [*((kind, "depth") for kind in ("sd", "sd3", "flux", "wan")),
                                               ("sd", "width"), ("wan", "width")])
def test_smaller_students_train(folders, kind, smaller):
    bench = PipelineBench(str(folders / kind), PROMPTS, rank=None, size=(32, 32), frames=5, **{smaller: 0.5})
    run = born(bench, ConsistencyDistillation(solver=Euler(), grid=8, lr=1e-3), steps=20, batch_size=2)
    batch = bench.data(0, 2)
    latents = lambda step: torch.randn(2, *bench.shape, generator=torch.Generator().manual_seed(step))  # noqa: E731
    run.data = type("Pictured", (), {"at": lambda _, step, block=0: batch.at(step)._replace(x=latents(step))})()
    before, base = tensors(run.nets["student"]), tensors(run.nets["teacher"])
    for _ in train(run):
        pass
    after = tensors(run.nets["student"])
    weights = dict(run.nets["student"].named_parameters())
    still = [name for name in weights if torch.equal(after[name], before[name])]
    last = f"network.model.transformer_blocks.{len(getattr(bench.smaller(0).model, 'transformer_blocks', [])) - 1}."
    assert {name.removeprefix(last) for name in still} == UNUSED.get(kind, set())
    assert all(bool(value.isfinite().all()) for value in after.values())
    assert all(torch.equal(value, base[name]) for name, value in tensors(run.nets["teacher"]).items())
    assert size(run.nets["student"]) < 0.85 * size(run.nets["teacher"])
    assert generate(bench, run, num_inference_steps=2, n=2).x.shape == (2, *bench.shape)


@pytest.mark.parametrize("smaller", ["depth", "width"])
def test_a_smaller_student_is_exported_as_a_pipeline(folders, smaller, tmp_path):
    """Its own config goes with it: the folder opens as any other, and its network answers as the student does."""
    bench = PipelineBench(str(folders / "sd"), PROMPTS, rank=None, **{smaller: 0.5})
    run = born(bench, ConsistencyDistillation(solver=Euler(), grid=8), steps=1, batch_size=2)
    student = run.student()
    folder, _ = export(bench.pipeline, student, run.method.sampler(), run.method.process, tmp_path / "out",
                       num_inference_steps=2)
    again, call = Teacher.from_pretrained(folder, PROMPTS), asked(bench.pipeline)
    assert size(again.net) == size(student) < 0.85 * size(bench.pipeline.net)
    torch.testing.assert_close(again.net(**call), student(**call), rtol=0, atol=1e-6)


def test_smaller_students_take_further_inputs_and_copies(teachers):
    teacher = teachers["sd"]
    for small in (shallow(teacher.net, 0.5), narrow(teacher.net, 0.5)):
        student, call = Whole.student(small, second_time=True, guided=True), asked(teacher)
        said = student(**call, s=0.5 * call["t"], guidance=torch.full((2,), 2.0))
        assert torch.equal(said, small(**call)) and torch.equal(clone(student)(**call, s=0.5 * call["t"]), said)


def test_a_bench_that_asks_for_both(folders):
    bench = PipelineBench(str(folders / "sd"), PROMPTS, rank=None, depth=0.5, width=0.5)
    config = bench.student().network.model.config
    assert (config.layers_per_block, tuple(config.block_out_channels)) == (1, (4, 8))
    assert bench.settings["depth"] == bench.settings["width"] == 0.5
    for fields, said in (({"depth": 0.5}, "depth = 0.5 makes a student of its own, rank = 16 .*rank=None, or depth=1"),
                         ({"width": 0.5, "rank": 4}, "give rank=None, or width=1"),
                         ({"depth": 0.0, "rank": None}, "depth = 0.0: give a share"),
                         ({"width": 1.5, "rank": None}, "width = 1.5: give a share")):
        with pytest.raises(ValueError, match=said):
            PipelineBench("x", PROMPTS, **fields)
