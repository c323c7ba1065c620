"""Models of transformers: small random ones on disk, loaded, asked, generating, distilled; and all that is refused."""

import json
import os
import socket
from pathlib import Path

import pytest
import torch
import transformers
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from workbench.methods.classifiers.logits import LogitMatching
from workbench.nets.classifier import ConvClassifier
from workbench.randomness import Key
from workbench.teachers.from_transformers import load
from workbench.teachers.from_transformers_causal import chosen, positions, to_left
from workbench.teachers.from_transformers_classifiers import ImageTeacher, Pixels, TextTeacher
from workbench.train.loop import train
from workbench.train.run import Run
from workbench.types import Labelled, Tokens

WORDS = "<pad> <s> </s> <unk> the a cat dog sat on mat red blue and ran far away".split()
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
PROMPTS = ["the cat", "a dog sat on the", "red", "the dog and a cat ran far away"]


@pytest.fixture(scope="module")
def words():
    table = {word: index for index, word in enumerate(WORDS)}
    raw = Tokenizer(models.WordLevel(table, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", bos_token="<s>",
                                                eos_token="</s>", unk_token="<unk>")


SETTINGS = dict(vocab_size=17, bos_token_id=1, eos_token_id=2, pad_token_id=0)
CAUSAL = {
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(
        **SETTINGS, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.4)),
    "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(
        **SETTINGS, n_positions=64, n_embd=32, n_layer=2, n_head=4, initializer_range=0.4)),
}  # fmt: skip


def made(folder, model, *others):
    for one in (model, *others):
        one.save_pretrained(folder)
    return folder


def vit(**changes):
    settings = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, image_size=8,
                    patch_size=4, num_channels=3, num_labels=5, initializer_range=0.3)
    return transformers.ViTForImageClassification(transformers.ViTConfig(**settings | changes))


@pytest.fixture(scope="module")
def place(tmp_path_factory, words):
    """The folders of all small models, by name."""
    root = tmp_path_factory.mktemp("models")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        for name, build in CAUSAL.items():
            made(root / name, build(), words)
        made(root / "bert", transformers.BertForSequenceClassification(transformers.BertConfig(
            vocab_size=17, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
            max_position_embeddings=16, num_labels=3, pad_token_id=0, initializer_range=0.3,
            id2label={0: "bad", 1: "fair", 2: "good"}, label2id={"bad": 0, "fair": 1, "good": 2})), words)
        made(root / "vit", vit())
        made(root / "resnet", transformers.ResNetForImageClassification(transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=5)))
    for name in ("vit", "resnet"):
        scaling = {"image_processor_type": "ViTImageProcessor", "image_mean": MEAN, "image_std": STD}
        (root / name / "preprocessor_config.json").write_text(json.dumps(scaling))
    return root


@pytest.fixture(autouse=True)
def reached(monkeypatch, tmp_path):
    """The addresses that anybody tried to reach; the Hub's cache is empty."""
    tried = []

    def refuse(*address, **_):
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return tried


# -- causal language models --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CAUSAL)
def test_logits_are_the_models_own_and_padding_changes_nothing(place, name, reached):
    teacher = load(place / name)
    plain = getattr(transformers, type(teacher.model).__name__).from_pretrained(place / name)
    tokens = teacher.encode(PROMPTS)
    assert tokens.ids.shape == tokens.mask.shape == (4, 8) and not tokens.mask[0, 0] and bool(tokens.mask[:, -1].all())
    together = teacher.logits(*tokens)
    assert together.shape == (4, 8, 17) and together.dtype == torch.float32
    for side in ("left", "right"):
        padded = teacher.encode(PROMPTS, side=side)
        for row, text in enumerate(PROMPTS):
            alone = plain(teacher.encode([text]).ids).logits[0]
            assert torch.allclose(teacher.logits(*padded)[row, padded.mask[row]], alone, atol=2e-5)
    assert not any(p.requires_grad for p in teacher.parameters()) and not teacher.training and not reached
    wrong = plain(tokens.ids, attention_mask=tokens.mask.long()).logits  # positions counted over the padding
    if name == "gpt2":
        assert not torch.allclose(wrong[0, -2:], together[0, -2:], atol=1e-2)


@pytest.mark.parametrize("name", CAUSAL)
def test_greedy_generation_is_that_of_transformers_with_and_without_cache(place, name):
    teacher = load(place / name)
    tokens = teacher.encode(PROMPTS)
    cached, uncached = (teacher.generate(PROMPTS, max_new_tokens=20, temperature=0, use_cache=use)
                        for use in (True, False))
    assert torch.equal(cached.ids, uncached.ids) and torch.equal(cached.mask, uncached.mask)
    theirs = teacher.model.generate(tokens.ids, attention_mask=tokens.mask.long(), max_new_tokens=20, do_sample=False)
    assert torch.equal(theirs[:, tokens.ids.shape[1] :], cached.ids)
    for row, text in enumerate(PROMPTS):
        alone = teacher.generate([text], max_new_tokens=20, temperature=0)
        assert alone.ids[alone.mask].tolist() == cached.ids[row, cached.mask[row]].tolist()
    assert len({tuple(row) for row in cached.ids.tolist()}) > 1


@pytest.mark.parametrize("name", CAUSAL)
def test_the_cache_is_used(place, name, monkeypatch):
    teacher, widths = load(place / name), []
    asked = teacher.asked
    monkeypatch.setattr(teacher, "asked", lambda ids, *rest, **named: widths.append(ids.shape[1]) or asked(
        ids, *rest, **named))
    teacher.ends = []
    teacher.generate(["the cat"], max_new_tokens=4, temperature=0)
    teacher.generate(["the cat"], max_new_tokens=4, temperature=0, use_cache=False)
    assert widths == [2, 1, 1, 1, 2, 3, 4, 5]


def test_draws_are_counted_by_row_and_not_by_batch(place):
    teacher = load(place / "llama")
    first = teacher.generate(PROMPTS, max_new_tokens=12, seed=1)
    for batch_size in (1, 3):
        again = teacher.generate(PROMPTS, max_new_tokens=12, seed=1, batch_size=batch_size)
        assert torch.equal(again.ids, first.ids) and torch.equal(again.mask, first.mask)
    torch.rand(5)
    assert torch.equal(teacher.generate(PROMPTS, max_new_tokens=12, seed=1, use_cache=False).ids, first.ids)
    assert not torch.equal(teacher.generate(PROMPTS, max_new_tokens=12, seed=2).ids, first.ids)
    same = teacher.generate(["the cat"] * 6, max_new_tokens=8, seed=0)
    assert len({tuple(row) for row in same.ids.tolist()}) > 3


def test_a_row_ends_with_its_end_token(place):
    teacher = load(place / "llama")
    found = teacher.generate(PROMPTS * 8, max_new_tokens=40, seed=0, temperature=2.0)
    ended = 0
    for ids, mask in zip(*found, strict=True):
        length = int(mask.sum())
        assert bool(mask[:length].all()) and bool((ids[length:] == 0).all()) and 2 not in ids[: length - 1].tolist()
        ended += int(ids[length - 1] == 2)
    assert ended > 5 and found.ids.shape[1] <= 40
    assert all("</s>" not in text and "<pad>" not in text for text in teacher.decode(found))


def test_frequencies_are_the_softmax_and_top_p_cuts_its_tail():
    p = torch.tensor([0.5, 0.1, 0.3, 0.1])
    draws = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    logits = p.log().expand(20_000, 4)
    share = lambda tokens: (tokens.bincount(minlength=4) / 20_000).tolist()  # noqa: E731
    assert share(chosen(logits, 1.0, 1.0, draws)) == pytest.approx(p.tolist(), abs=1e-4)
    assert share(chosen(logits, 0.5, 1.0, draws)) == pytest.approx((p**2 / (p**2).sum()).tolist(), abs=1e-4)
    assert share(chosen(logits, 1.0, 0.8, draws)) == pytest.approx([0.625, 0, 0.375, 0], abs=1e-4)  # .5 + .3 reach .8
    assert share(chosen(logits, 1.0, 0.81, draws)) == pytest.approx([5 / 9, 1 / 9, 3 / 9, 0], abs=1e-4)
    assert share(chosen(logits, 1.0, 1e-9, draws)) == [1, 0, 0, 0] == share(chosen(logits, 1.0, 1.0, None))
    assert int(chosen(logits[:1], 1.0, 1.0, torch.ones(1, dtype=torch.float64))) in (1, 3)  # rounding beyond the end


def test_padding_moves_to_the_left():
    tokens = to_left(Tokens(torch.tensor([[5, 6, 0], [7, 8, 9]]), torch.tensor([[True, True, False], [True] * 3])))
    assert tokens.ids.tolist() == [[0, 5, 6], [7, 8, 9]] and tokens.mask.tolist() == [[False, True, True], [True] * 3]
    assert positions(tokens.mask).tolist() == [[0, 0, 1], [0, 1, 2]]


def test_prompts_may_be_texts_tokens_or_ids(place):
    teacher = load(place / "gpt2")
    ask = lambda prompts: teacher.generate(prompts, max_new_tokens=6, temperature=0).ids  # noqa: E731
    right = teacher.encode(PROMPTS, side="right")
    assert torch.equal(ask(PROMPTS), ask(right)) and torch.equal(ask(["the cat"]), ask(torch.tensor([[4, 6]])))
    assert teacher.decode(right) == PROMPTS and teacher.encode(PROMPTS, max_length=2).ids.shape == (4, 2)


def test_what_cannot_be_generated(place):
    teacher = load(place / "gpt2")
    for settings in (dict(max_new_tokens=0), dict(temperature=-1), dict(top_p=0), dict(top_p=1.5), dict(batch_size=0)):
        with pytest.raises(ValueError, match="must be at least 1"):
            teacher.generate(PROMPTS, **{"max_new_tokens": 4, **settings})
    with pytest.raises(ValueError, match="8 tokens and 60 new ones exceed the model's 64 positions.*to 56"):
        teacher.generate(PROMPTS, max_new_tokens=60)
    with pytest.raises(ValueError, match=r"text 1 \(''\) has no tokens"):
        teacher.generate(["a", ""], max_new_tokens=1)
    with pytest.raises(ValueError, match="every prompt needs at least one token"):
        teacher.generate(Tokens(torch.ones(1, 2, dtype=torch.long), torch.zeros(1, 2)), max_new_tokens=1)
    with pytest.raises(ValueError, match="give a list of texts"):
        teacher.generate("the cat", max_new_tokens=1)


# -- classifiers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_pictures_are_scaled_as_the_models_processor_does_it(place, name, reached):
    teacher = load(place / name, "image")
    assert isinstance(teacher, ImageTeacher) and teacher.num_classes == 5 and teacher.classes[0] == "LABEL_0"
    eight_bits = torch.randint(0, 256, (2, 3, 8, 8), generator=Key(0).generator("x"))
    processor = transformers.ViTImageProcessorPil(do_resize=False, image_mean=MEAN, image_std=STD)
    pictures = list(eight_bits.to(torch.uint8).numpy())
    pixels = processor(pictures, return_tensors="pt", input_data_format="channels_first")
    x = eight_bits / 127.5 - 1
    assert torch.allclose(teacher.inputs(x)["pixel_values"], pixels["pixel_values"], atol=1e-5)
    assert torch.allclose(teacher(x), teacher.model(**pixels).logits, atol=1e-5)
    assert teacher(x).shape == (2, 5) and not reached


def test_other_scalings(tmp_path):
    write = lambda **said: (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))  # noqa: E731
    x = torch.tensor([-1.0, 0.0, 1.0]).view(1, 1, 1, 3)
    for said, expected in (
        (dict(image_mean=0.5, image_std=0.5), [-1, 0, 1]), (dict(do_normalize=False), [0, 0.5, 1]),
        (dict(do_normalize=False, rescale_factor=1 / 127.5, rescale_offset=True), [-1, 0, 1]),
        (dict(do_rescale=False, do_normalize=False), [0, 127.5, 255]),
    ):  # fmt: skip
        write(**said)
        assert Pixels.of(tmp_path)(x).flatten().tolist() == pytest.approx(expected, abs=1e-4)


def test_pictures_that_do_not_fit(place):
    teacher = load(place / "vit")
    with pytest.raises(ValueError, match="takes pictures of 8x8, got 16x16: make the data with size=8"):
        teacher(torch.zeros(1, 3, 16, 16))
    for bad in (torch.zeros(1, 1, 8, 8), torch.zeros(3, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)):
        with pytest.raises(ValueError, match=r"needs pictures \(B, 3, H, W\)"):
            teacher(bad)
    assert load(place / "resnet")(torch.zeros(1, 3, 16, 16)).shape == (1, 5)  # takes any size


def test_texts_are_classified_alone_as_together(place):
    teacher = load(place / "bert")
    assert isinstance(teacher, TextTeacher) and teacher.classes == ("bad", "fair", "good")
    tokens = teacher.encode(PROMPTS)
    together = teacher(tokens)
    assert together.shape == (4, 3) and torch.allclose(teacher(tokens.ids), together)  # padding tells the mask
    for row, text in enumerate(PROMPTS):
        assert torch.allclose(teacher(teacher.encode([text]))[0], together[row], atol=1e-5)
    assert not torch.allclose(teacher(Tokens(tokens.ids, torch.ones_like(tokens.mask)))[2], together[2], atol=1e-3)
    assert teacher.encode(["cat " * 99]).ids.shape == (1, 16)
    with pytest.raises(ValueError, match=r"needs token ids \(B, T\)"):
        teacher(torch.zeros(1, 3))


class Batches:
    """Random pictures or rows of tokens: labelled, counted."""

    def __init__(self, draw):
        self.draw = draw

    def at(self, step, block=0):
        generator = Key(0, step=step, block=block).generator("data")
        return Labelled(self.draw(generator), torch.randint(3, (16,), generator=generator))


@pytest.mark.parametrize(("name", "student"), [
    ("vit", "conv"), ("resnet", "conv"), ("vit", "narrow"), ("bert", "narrow"),
])
def test_logit_distillation_takes_twenty_steps(place, name, student):
    teacher = load(place / name)
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    if student == "conv":
        net = ConvClassifier(shape=(3, 8, 8), num_classes=5, widths=(8, 16), hidden=16, seed=0)
    else:
        net = teacher.fresh(seed=0, hidden_size=16, num_hidden_layers=1, intermediate_size=16)
        assert sum(p.numel() for p in net.parameters()) < sum(p.numel() for p in teacher.parameters()) / 2
    draw = (lambda g: torch.randint(4, 17, (16, 6), generator=g)) if name == "bert" else (
        lambda g: torch.rand(16, 3, 8, 8, generator=g) * 2 - 1)
    run = Run(LogitMatching(hard=0.0, lr=1e-2), {"teacher": teacher, "student": net}, Batches(draw), steps=20)
    soft = [float(stepped.taken[0].loss.parts["soft"]) for stepped in train(run)]
    assert len(soft) == 20 and sum(soft[-5:]) < 0.8 * sum(soft[:5]) and run.teacher_calls == 320
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())


def test_a_student_reads_no_global_generator(place):
    """Its teacher's config asks for dropout, which would."""
    teacher, ends = load(place / "bert"), []
    assert teacher.model.config.hidden_dropout_prob == 0.1
    for seed in (0, 1):
        torch.manual_seed(seed)
        student = teacher.fresh(seed=5, num_hidden_layers=1)
        draw = lambda g: torch.randint(4, 17, (16, 6), generator=g)  # noqa: E731
        run = Run(LogitMatching(), {"teacher": teacher, "student": student}, Batches(draw), steps=3)
        ends.append([stepped.taken[0].loss.total.item() for stepped in train(run)])
    assert ends[0] == ends[1]
    with pytest.raises(ValueError, match="dropout draws from the global generator"):
        teacher.fresh(hidden_dropout_prob=0.2)


def test_a_fresh_net_is_drawn_by_its_seed_alone(place):
    teacher = load(place / "vit")
    state = torch.get_rng_state()
    one, same, other = teacher.fresh(1), teacher.fresh(1), teacher.fresh(2)
    assert torch.equal(torch.get_rng_state(), state)
    pairs = list(zip(one.parameters(), same.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs) and not all(torch.equal(a, c) for a, _, c in pairs)
    assert one.training and all(p.requires_grad for p in one.parameters()) and one.pixels == teacher.pixels
    with pytest.raises(ValueError, match="unknown setting of ViTConfig 'hiden_size'; did you mean 'hidden_size'"):
        teacher.fresh(hiden_size=8)


# -- loading -----------------------------------------------------------------------------------------------------------


def test_nothing_is_fetched_unless_asked(tmp_path, reached):
    with pytest.raises(ValueError, match="no folder called 'some/model' and no such model in .* cache; download=True"):
        load("some/model")
    assert reached == [] and constants.HF_HUB_OFFLINE is False
    with pytest.raises(ValueError, match="some/model could not be fetched"):
        load("some/model", download=True)
    assert reached  # the negative control


def test_a_model_in_the_cache_is_found_by_its_name(place, tmp_path, reached):
    kept = tmp_path / "hub/models--some--llama"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs/main").write_text("0" * 40)
    (kept / "snapshots").mkdir()
    (kept / "snapshots" / ("0" * 40)).symlink_to(place / "llama")
    assert load("some/llama", "causal").encode(["cat"]).ids.tolist() == [[6]]
    with pytest.raises(ValueError, match="did you mean some/llama"):
        load("some/lama")
    assert reached == []


def test_misspelt_and_malformed_names(place, tmp_path):
    with pytest.raises(ValueError, match=f"did you mean {place}/llama"):
        load(place / "lama")
    with pytest.raises(ValueError, match="no folder"):
        load("../x/y/z?*")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        load(tmp_path / "file")


@pytest.mark.parametrize(("error", "said"), [
    ("GatedRepoError", "some/model is gated: accept its terms.*hf auth login"),
    ("RepositoryNotFoundError", "no model on the Hub called 'some/model'"),
])
def test_what_the_hub_refuses(monkeypatch, error, said):
    import httpx
    import huggingface_hub.errors as errors

    def refuse(*_, **__):
        raise getattr(errors, error)("refused", response=httpx.Response(403, request=httpx.Request("GET", "https://x")))

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(ValueError, match=said):
        load("some/model", download=True)


def test_only_safetensors_and_text_are_fetched(monkeypatch, place):
    asked = {}
    fetch = lambda name, **named: asked.update(named) or str(place / "vit")  # noqa: E731
    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert load("some/vit", download=True).num_classes == 5
    assert not any(fine in asked["allow_patterns"] for fine in ("*.bin", "*.py", "*.pt", "*"))


@pytest.mark.parametrize(("name", "task", "said"), [
    ("bert", "causal", "holds a BertForSequenceClassification, whose task is 'text', not 'causal'"),
    ("llama", "image", "whose task is 'causal', not 'image'"),
    ("vit", "imag", "unknown task 'imag'; did you mean 'image'"),
])
def test_another_task(place, name, task, said):
    with pytest.raises(ValueError, match=said):
        load(place / name, task)


def copied(place, name, tmp_path, **config):
    """The model's folder, its config changed."""
    folder = tmp_path / name
    folder.mkdir()
    for file in (place / name).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**said, **config}))
    return folder


@pytest.mark.parametrize(("config", "said"), [
    (dict(architectures=["LlamaModel"]), "holds a LlamaModel; teachers are ...ForCausalLM"),
    (dict(architectures=None), "names no class in 'architectures'"),
    (dict(architectures=["MineForCausalLM"], auto_map={"AutoModelForCausalLM": "c.M"}), "code that comes with a model"),
    (dict(architectures=["LlamaForSequenceClassification"]), "lack score.weight of LlamaForSequenceClassification"),
    (dict(hidden_size=64), "torn or do not fit its config.json"), (dict(hidden_size="many"), "does not fit Llama"),
    (dict(vocab_size=9), "torn or do not fit"),
])
def test_configs_that_do_not_fit(place, tmp_path, config, said):
    folder = copied(place, "llama", tmp_path, **config)
    (folder / "c.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ValueError, match=said):
        load(folder)


def test_folders_that_are_something_else(tmp_path):
    for name, said in (("model_index.json", "is a diffusers pipeline"), ("adapter_config.json", "is an adapter"),
                       ("other.json", "has no config.json")):
        (tmp_path / name[:5]).mkdir()
        (tmp_path / name[:5] / name).write_text("{}")
        with pytest.raises(ValueError, match=said):
            load(tmp_path / name[:5])
    (tmp_path / "other" / "config.json").write_text("{torn")
    with pytest.raises(ValueError, match="config.json is no JSON"):
        load(tmp_path / "other")


def test_pickles_are_never_read(place, tmp_path):
    folder = copied(place, "llama", tmp_path)

    class Trap:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/ran",)

    torch.save({"x": Trap()}, folder / "pytorch_model.bin")
    assert load(folder)  # safetensors beside it are read
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="holds pickled weights alone"):
        load(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(ValueError, match="holds no weights"):
        load(folder)
    assert not (tmp_path / "ran").exists()


def test_torn_weights(place, tmp_path):
    folder = copied(place, "llama", tmp_path)
    raw = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(ValueError, match="torn or do not fit"):
        load(folder)
    (folder / "model.safetensors").write_bytes(raw)
    found = load_file(folder / "model.safetensors")
    save_file({name: value for name, value in found.items() if "layers.1" not in name}, folder / "model.safetensors")
    with pytest.raises(ValueError, match="lack model.layers.1"):
        load(folder)


def test_tokenizers_that_are_absent_or_of_another_model(place, tmp_path, words):
    folder = copied(place, "llama", tmp_path)
    for file in folder.glob("*token*"):
        file.unlink()
    with pytest.raises(ValueError, match="has no tokenizer"):
        load(folder)
    assert load(folder, tokenizer=place / "gpt2").encode(["cat"]).ids.tolist() == [[6]]
    made(tmp_path / "big", words)
    larger = transformers.AutoTokenizer.from_pretrained(tmp_path / "big")
    larger.add_tokens([f"more{n}" for n in range(20)])
    made(tmp_path / "larger", larger)
    with pytest.raises(ValueError, match="the tokenizer has 37 tokens and llama knows 17"):
        load(folder, tokenizer=tmp_path / "larger")
    (folder / "tokenizer.json").write_text("{torn")
    with pytest.raises(ValueError, match="the tokenizer in .* cannot be read"):
        load(folder)
    (tmp_path / "larger").rename(tmp_path / "gone")
    with pytest.raises(ValueError, match="no folder and no model on the Hub called"):
        load(folder, tokenizer=tmp_path / "larger")


def test_a_processor_that_is_absent(place, tmp_path):
    folder = copied(place, "vit", tmp_path)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match="has no preprocessor_config.json"):
        load(folder)
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5], "image_std": 0.5}')
    with pytest.raises(ValueError, match="scales 2 channels, the model has 3"):
        load(folder)


@pytest.mark.parametrize(("dtype", "name"), [(torch.bfloat16, "llama"), ("float16", "gpt2"), ("float64", "vit")])
def test_dtypes(place, dtype, name):
    teacher = load(place / name, dtype=dtype)
    assert {str(p.dtype).removeprefix("torch.") for p in teacher.parameters()} == {str(dtype).removeprefix("torch.")}
    x = torch.zeros(1, 3, 8, 8) if name == "vit" else torch.tensor([[4, 5]])
    assert teacher(x).dtype == torch.float32
    assert load(place / name).model.dtype == torch.float32  # the weights' own


def test_dtypes_and_devices_there_are_not(place):
    for bad, said in (("bfloat", "did you mean 'bfloat16'"), (torch.int8, "unknown dtype 'int8'"),
                      ("pickle", "unknown dtype 'pickle'")):
        with pytest.raises(ValueError, match=said):
            load(place / "vit", dtype=bad)
    for bad in ("gpu", "cuda:99"):
        with pytest.raises(ValueError, match=f"no device '{bad}' here"):
            load(place / "vit", device=bad)


@pytest.mark.parametrize("error", [
    torch.OutOfMemoryError("CUDA out of memory."), MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
])
def test_out_of_memory_is_said_in_one_sentence(place, monkeypatch, error):
    def fail(*_, **__):
        raise error

    teacher = load(place / "llama")
    monkeypatch.setattr(teacher.model, "forward", fail)
    with pytest.raises(MemoryError, match="generating 4 rows does not fit; lower batch_size"):
        teacher.generate(PROMPTS, max_new_tokens=2)
    with pytest.raises(MemoryError, match=r"a batch of \(1, 1\) tokens does not fit"):
        teacher(torch.tensor([[4]]))
    monkeypatch.setattr(transformers.LlamaForCausalLM, "from_pretrained", fail)
    with pytest.raises(MemoryError, match="llama on cpu does not fit; take dtype='bfloat16'"):
        load(place / "llama")


def test_other_errors_are_not_called_memory(place, monkeypatch):
    teacher = load(place / "llama")
    with pytest.raises(IndexError):
        teacher(torch.tensor([[99]]))


def test_the_caches_folder_is_untouched(place):
    assert Path(constants.HF_HUB_CACHE).exists() is False
