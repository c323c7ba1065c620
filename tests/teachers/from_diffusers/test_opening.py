"""What can be wrong with a pipeline is said in a sentence; nothing is fetched, unpickled or run to find out."""

import json
import os
import shutil
import socket
import sys

import diffusers
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.utils import filter_repo_objects
from safetensors.torch import load_file, save_file

from workbench.teachers.from_diffusers import Teacher
from workbench.teachers.from_diffusers.opening import opened
from workbench.teachers.from_diffusers.small import save

PROMPTS = ["a red circle"]
UNET, TEXT = "unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipelines")
    for kind in ("ddpm", "sd", "wan"):
        save(kind, folder / kind)
    return folder


@pytest.fixture
def sd(root, tmp_path):
    """A folder of one's own to spoil."""
    return shutil.copytree(root / "sd", tmp_path / "own")


@pytest.fixture(autouse=True)
def reached(monkeypatch, tmp_path):
    """The addresses that anybody tried to reach, none in the end; the Hub's cache is empty."""
    tried = []

    def refuse(*address, **_):
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    yield tried
    assert not tried


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def changed(file, **values):
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def without(file, words):
    kept = {name: value for name, value in load_file(file).items() if words not in name}
    save_file(kept, file, metadata={"format": "pt"})


def refused(folder, said, prompts=PROMPTS, **named):
    with pytest.raises(ValueError, match=said):
        Teacher.from_pretrained(folder, prompts, **named)


def test_a_whole_folder_opens_without_a_word_to_the_network(root, reached):
    for kind in ("ddpm", "sd", "wan"):
        teacher = Teacher.from_pretrained(root / kind, PROMPTS if kind != "ddpm" else (),
                                          size=(32, 32) if kind == "wan" else None)
        x = torch.zeros(1, *teacher.shape)
        assert teacher.net(x, torch.full((1,), 0.5 * teacher.process.t_max)).shape == x.shape
        assert not any(p.requires_grad for p in teacher.net.parameters())
    assert not reached


# -- what is not there -------------------------------------------------------------------------------------------------


def test_names_that_are_not_on_this_machine(root, tmp_path):
    refused(root / "sdd", "no folder .*called '.*sdd'; did you mean .*/sd?")
    refused("me/nothing", "no folder called 'me/nothing' and no such pipeline in the Hub's cache; download=True")
    refused("../..//x y", "no folder")
    refused(root / "sd" / "model_index.json", "is a file: give the folder of a pipeline")
    refused(tmp_path, "has no model_index.json")


def test_a_pipeline_in_the_hubs_cache(root, tmp_path):
    place = tmp_path / "hub" / "models--me--small"
    shutil.copytree(root / "sd", place / "snapshots" / "abc")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc")
    assert Teacher.from_pretrained("me/small", PROMPTS).net.num_classes == 1
    refused("me/smal", "did you mean me/small?")
    shutil.rmtree(place / "snapshots" / "abc" / "unet")  # half of it fetched
    refused("me/small", "is not complete: its unet is missing")


@pytest.mark.parametrize(("error", "said"), [
    ("GatedRepoError", "some/model is gated: accept its terms on huggingface.co/some/model.*hf auth login"),
    ("RepositoryNotFoundError", "no pipeline on the Hub called 'some/model'"),
    ("LocalEntryNotFoundError", "some/model could not be fetched .*check the network and the name"),
])
def test_what_the_hub_refuses(monkeypatch, error, said):
    import httpx
    import huggingface_hub.errors as errors

    def refuse(*_, **__):
        given = {"response": httpx.Response(403, request=httpx.Request("GET", "https://x"))}
        raise getattr(errors, error)("refused", **(given if "Repo" in error else {}))

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    refused("some/model", said, download=True)


def test_only_safetensors_and_text_are_fetched(monkeypatch, root):
    asked = []
    closed = []
    fetch = lambda name, **named: closed.append(constants.HF_HUB_OFFLINE) or asked.append(named) or str(  # noqa: E731
        root / "sd")
    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    load = diffusers.StableDiffusionPipeline.from_pretrained
    monkeypatch.setattr(diffusers.StableDiffusionPipeline, "from_pretrained",
                        lambda *a, **n: closed.append(constants.HF_HUB_OFFLINE) or load(*a, **n))
    for download in (True, False):
        assert Teacher.from_pretrained("some/sd", PROMPTS, download=download).net.num_classes == 1
    assert [one["local_files_only"] for one in asked] == [False, True]
    assert closed == [False, True, True, True] and not constants.HF_HUB_OFFLINE  # open for the fetching asked for alone
    wanted = ["model_index.json", "tokenizer/merges.txt", "unet/diffusion_pytorch_model.safetensors",
              "transformer/model-00001-of-00002.safetensors", "transformer/model.safetensors.index.json"]
    others = ["all-in-one.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors", "unet/diffusion.bin", "run.py",
              "unet/run.py", "all.ckpt", "vae/flax_model.msgpack", "unet/model.onnx"]
    patterns = {name: asked[0][name] for name in ("allow_patterns", "ignore_patterns")}
    assert list(filter_repo_objects([*wanted, *others], **patterns)) == wanted


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_part(sd, part):
    shutil.rmtree(sd / part)
    refused(sd, f"is not complete: its {part} is missing; save the whole pipeline again")
    (sd / part).mkdir()
    refused(sd, f"its {part} is missing")
    changed(sd / "model_index.json", **{part: [None, None]})
    refused(sd, f"its model_index.json names no {part}")


@pytest.mark.parametrize("words", ["{torn", "[1]", "{}", "", "null"])
def test_a_torn_index(sd, words):
    (sd / "model_index.json").write_text(words)
    refused(sd, "model_index.json is torn or not a pipeline's")


@pytest.mark.parametrize(("file", "part"), [(UNET, "mid_block"), (TEXT, "layers.1"),
                                            ("vae/diffusion_pytorch_model.safetensors", "decoder")])
def test_weights_that_are_torn_lacking_or_absent(sd, file, part):
    whole = (sd / file).read_bytes()
    for length in (0, 5, 1000, len(whole) - 1):
        (sd / file).write_bytes(whole[:length])
        refused(sd, f"{file} is torn")
    (sd / file).write_bytes(whole)
    without(sd / file, part)
    refused(sd, "numbers, and its config.json names .* with random ones it would teach nothing")
    (sd / file).rename(sd / file.replace(".safetensors", ".fp16.safetensors"))
    refused(sd, "has no .*, but .*fp16.safetensors: rename it")
    (sd / file.replace(".safetensors", ".fp16.safetensors")).unlink()
    refused(sd, "has no .*model.safetensors; save or fetch the whole pipeline again")


def test_weights_in_several_files(sd, root):
    file, index = sd / UNET, sd / f"{UNET}.index.json"
    found = load_file(file)
    names = sorted(found)
    file.unlink()
    pieces = {f"diffusion_pytorch_model-0000{n}-of-00002.safetensors": names[n - 1 :: 2] for n in (1, 2)}
    for name, some in pieces.items():
        save_file({one: found[one] for one in some}, sd / "unet" / name, metadata={"format": "pt"})
    table = {"metadata": {}, "weight_map": {one: name for name, some in pieces.items() for one in some}}
    index.write_text(json.dumps(table))
    mine, whole = (Teacher.from_pretrained(one, PROMPTS) for one in (sd, root / "sd"))
    x, t = torch.ones(1, *mine.shape), torch.full((1,), 500.0)
    assert torch.equal(mine.net(x, t), whole.net(x, t))
    (sd / "unet" / next(iter(pieces))).unlink()
    refused(sd, "00001-of-00002.safetensors is missing, and .*index.json names it")
    table["weight_map"][names[0]] = "../../elsewhere.safetensors"
    index.write_text(json.dumps(table))
    shutil.copy(root / "sd" / UNET, sd.parent / "elsewhere.safetensors")
    refused(sd, "elsewhere.safetensors is missing")
    index.write_text("{torn")
    refused(sd, "index.json is torn")


def test_tokenizers_that_are_absent_or_torn(sd):
    (sd / "tokenizer" / "tokenizer.json").write_text("{torn")
    refused(sd, "cannot be loaded as StableDiffusionPipeline .*mend its configs")
    (sd / "tokenizer" / "tokenizer.json").unlink()  # the library would make one that knows no word
    refused(sd, "has no vocabulary .*save_pretrained")


# -- what is of another kind -------------------------------------------------------------------------------------------


def test_classes_that_there_are_not(sd, root):
    changed(sd / "model_index.json", _class_name="StableDiffusionPipelin")
    refused(sd, "unknown pipeline class .*did you mean 'StableDiffusionPipeline'.*a row in kinds.py")
    changed(sd / "model_index.json", _class_name="StableDiffusionPipeline", unet=["diffusers", "UNet3D"])
    refused(sd, "cannot be loaded as StableDiffusionPipeline .*UNet3D")
    changed(sd / "model_index.json", _class_name="FluxPipeline")
    refused(sd, "is not complete: its model_index.json names no text_encoder_2")


def test_a_part_of_another_class(sd, root):
    shutil.rmtree(sd / "unet")
    shutil.copytree(root / "ddpm" / "unet", sd / "unet")
    refused(sd, "holds a UNet2DModel where model_index.json names a UNet2DConditionModel")


@pytest.mark.parametrize(("file", "values"), [
    ("unet/config.json", {"block_out_channels": [16, 32]}), ("text_encoder/config.json", {"hidden_size": 64}),
    ("unet/config.json", {"block_out_channels": "many"}), ("vae/config.json", {"latent_channels": 7}),
])
def test_configs_that_do_not_fit_the_weights(sd, file, values):
    changed(sd / file, **values)
    refused(sd, "cannot be loaded as StableDiffusionPipeline|its config.json names")


@pytest.mark.parametrize(("name", "values", "said"), [
    ("NoSuchScheduler", {}, "cannot be loaded as StableDiffusionPipeline .*NoSuchScheduler"),
    ("KarrasVeScheduler", {}, "KarrasVeScheduler has neither betas nor flow matching: give the pipeline"),
    ("DDIMScheduler", {"beta_schedule": "steep"}, "cannot be loaded as StableDiffusionPipeline .*steep"),
    ("DDIMScheduler", {"prediction_type": "noise"}, "unknown prediction_type 'noise'; known: epsilon"),
])
def test_schedulers_that_are_not_read(sd, name, values, said):
    changed(sd / "model_index.json", scheduler=["diffusers", name])
    changed(sd / "scheduler" / "scheduler_config.json", **values)
    refused(sd, said)


def test_dtypes_devices_prompts_sizes_and_frames(root):
    refused(root / "sd", "unknown torch_dtype 'float8'; did you mean 'float", torch_dtype="float8")
    refused(root / "sd", "unknown torch_dtype 'int8'", torch_dtype=torch.int8)
    for device in ("gpu", "cuda:99"):
        refused(root / "sd", f"no device '{device}' here", device=device)
    refused(root / "sd", r"prompts are a list of texts, got 'a red circle': write \['a red circle'\]", "a red circle")
    refused(root / "sd", "prompt 1 is no text but 3", ["a", 3])
    refused(root / "ddpm", "DDPMPipeline takes no prompts, got 1")
    for size in ((33, 32), (32, 31), (0, 32), (-8, 32)):
        refused(root / "sd", "does not fit: sides must be multiples of 2", size=size)
    refused(root / "sd", r"size is \(height, width\) in pixels, got 32", size=32)
    refused(root / "ddpm", r"size \(15, 16\) does not fit: .* multiples of 2, e.g. \(16, 16\)", (), size=(15, 16))
    refused(root / "wan", r"size \(36, 32\) does not fit: .* multiples of 8, e.g. \(32, 32\)", size=(36, 32))
    refused(root / "wan", "frames = 4 do not fit: one more than a multiple of 2 do, e.g. 3", size=(32, 32), frames=4)
    half = Teacher.from_pretrained(root / "sd", PROMPTS, torch_dtype="bfloat16")
    x = torch.zeros(1, *half.shape)
    assert half.net.model.dtype == torch.bfloat16 and half.net(x, torch.full((1,), 500.0)).dtype == torch.float32


# -- what would run ----------------------------------------------------------------------------------------------------


def test_pickles_are_never_read(sd, tmp_path, root):
    canary = tmp_path / "ran"
    pickles = {UNET: "unet/diffusion_pytorch_model.bin", TEXT: "text_encoder/pytorch_model.bin"}
    for file in (*pickles.values(), "model.ckpt", "unet/model.pt"):
        torch.save({"x": Trap(canary)}, sd / file)
    beside = Teacher.from_pretrained(sd, PROMPTS)
    x, t = torch.ones(1, *beside.shape), torch.full((1,), 500.0)
    assert torch.equal(beside.net(x, t), Teacher.from_pretrained(root / "sd", PROMPTS).net(x, t))
    for file in pickles:
        whole = (sd / file).read_bytes()
        (sd / file).unlink()
        refused(sd, "holds pickled weights alone, and reading these can run any code: convert them")
        (sd / file).write_bytes(whole)
        torch.save({"x": Trap(canary)}, sd / file)  # a pickle by the name of safetensors
        refused(sd, f"{file} is torn")
        (sd / file).write_bytes(whole)
    assert not canary.exists()
    torch.load(sd / "model.ckpt", weights_only=False)  # the trap does work
    assert canary.exists()


def test_code_in_the_folder_is_never_run(sd, tmp_path, monkeypatch):
    canary = tmp_path / "ran"
    code = f"open({str(canary)!r}, 'w')\nclass Mine: pass\nclass UNet2DConditionModel: pass\n"
    for place in ("mine.py", "pipeline.py", "unet/mine.py", "unet/unet2d.py", "tokenizer/mine.py"):
        (sd / place).write_text(code)
    monkeypatch.setattr(sys, "path", [str(sd), *sys.path])
    monkeypatch.chdir(sd)
    assert Teacher.from_pretrained(sd, PROMPTS).net.num_classes == 1
    auto = {"auto_map": {"AutoModel": "mine.Mine", "AutoTokenizer": ["mine.Mine", None]}}
    changed(sd / "unet" / "config.json", **auto)
    changed(sd / "text_encoder" / "config.json", **auto)
    changed(sd / "tokenizer" / "tokenizer_config.json", **auto)
    assert Teacher.from_pretrained(sd, PROMPTS).net.num_classes == 1
    index = sd / "model_index.json"
    for values in ({"unet": ["mine", "Mine"]}, {"unet": ["pipeline", "Mine"]}, {"unet": ["os.path", "Mine"]},
                   {"unet": ["unet.mine", "Mine"]}, {"_class_name": ["mine", "Mine"]}, {"../sd": ["diffusers", "X"]}):
        before = index.read_text()
        changed(index, **values)
        refused(sd, "names code of its own .*never run here")
        index.write_text(before)
    for name, part in (("AutoModel", "text_encoder"), ("AutoTokenizer", "tokenizer")):
        changed(index, **{part: ["transformers", name]})
        refused(sd, "cannot be loaded")
    assert not canary.exists() and "mine" not in sys.modules
    import mine  # noqa: F401 - the trap does work

    assert canary.exists()
    del sys.modules["mine"]


# -- memory ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [
    torch.OutOfMemoryError("CUDA out of memory."), MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 99 bytes."),
])
def test_out_of_memory_says_what_to_do(root, monkeypatch, error):
    def fail(*_, **__):
        raise error

    teacher = Teacher.from_pretrained(root / "sd", PROMPTS)
    monkeypatch.setattr(diffusers.StableDiffusionPipeline, "from_pretrained", fail)
    refused(root / "sd", 'sd does not fit into memory: load it with torch_dtype="bfloat16" or offload=True')
    monkeypatch.setattr(teacher.codec.vae, "decode", fail)
    monkeypatch.setattr(teacher.codec.vae, "encode", fail)
    with pytest.raises(ValueError, match="decoding 8 latents of .* does not fit into memory: a smaller Codec.batch"):
        teacher.decode(torch.zeros(9, *teacher.shape))
    with pytest.raises(ValueError, match="encoding 2 pictures of .* does not fit into memory.*tiling=True"):
        teacher.encode(torch.zeros(2, 3, *teacher.size))


def test_other_errors_are_not_called_memory(root, monkeypatch):
    teacher = Teacher.from_pretrained(root / "sd", PROMPTS)
    with pytest.raises(RuntimeError):
        teacher.net(torch.zeros(1, 3, 16, 16), torch.zeros(1))
    with pytest.raises(ValueError, match="unknown pipeline class"):
        Teacher.of(type("Own", (), {})())
    assert opened(root / "sd", torch.float32, False).unet.dtype == torch.float32
