"""Prompts by index: the pipelines' own rows, resident or encoded as they are asked for, and the empty one beside."""

import copy

import pytest
import torch

from workbench.teachers.from_diffusers import Teacher
from workbench.teachers.from_diffusers.conditions import Conditions
from workbench.teachers.from_diffusers.kinds import KINDS as CLASSES
from workbench.teachers.from_diffusers.small import CALLS, SMALL, build

KINDS = ["sd", "sdxl", "sd3", "flux", "wan"]
PROMPTS = ["a red circle", "a big blue square", ""]
HOSTILE = ["\u202e\U0001f600 \u0416\u0416 \x00\ufeff", "red " * 2500, "a red\ncircle\r\n\t", "'; DROP TABLE x; --",
           "<script>alert(1)</script>", "{0.__class__} %s $(touch x) `ls`", " ", "a (red:1.3) circle"]


def teacher_of(kind, prompts=PROMPTS):
    return Teacher.of(build(kind), prompts, size=(32, 32), frames=5)


def rows(table, *indices):
    return table.rows(torch.tensor(indices), len(indices), torch.device("cpu"), torch.float32)


def encoding(teacher):
    return lambda some: teacher.kind.encode(teacher.pipe, some, teacher.size)


def counted(teacher):
    """The encoding, and the lists of prompts that it was asked for."""
    asked, encode = [], encoding(teacher)
    return lambda some: asked.append(list(some)) or encode(some), asked


def seen(teacher, prompt, **call):
    """(hidden states of the prompt, of what guidance subtracts) that the pipeline's own call gives its network."""
    model, found = getattr(teacher.pipe, teacher.kind.network), []

    def hook(_, args, named):
        states = named["encoder_hidden_states"]
        added = named.get("added_cond_kwargs") or {}
        pooled = named.get("pooled_projections", added.get("text_embeds"))
        found.append({"encoder_hidden_states": states, "pooled": pooled, "time_ids": added.get("time_ids")})

    handle = model.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        teacher.pipe(prompt, height=32, width=32, num_inference_steps=1, output_type="latent", **call)
    finally:
        handle.remove()
    if len(found[0]["encoder_hidden_states"]) == 2:  # one batch: the empty one first
        return [{k: None if v is None else v[place : place + 1] for k, v in found[0].items()} for place in (1, 0)]
    return found[0], found[1]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_what_the_pipelines_own_call_is_conditioned_on(kind):
    """Both sides of its guidance: the prompt's row is the one that it adds, the empty one's that it subtracts."""
    teacher = teacher_of(kind)
    call = {key: v for key, v in CALLS.get(kind, {}).items() if key in ("num_frames",)}
    if kind == "flux":  # its guidance is an input; the classifier-free one needs a negative prompt
        call |= {"true_cfg_scale": 4.0, "negative_prompt": ""}
    for index in (0, 1):
        prompt, empty = seen(teacher, PROMPTS[index], guidance_scale=4.0, **call)
        for place, theirs in ((index, prompt), (len(PROMPTS), empty)):
            mine = rows(teacher.net.conditions, place)
            mine["pooled"] = mine.pop("pooled_projections", mine.pop("text_embeds", None))
            for name, value in theirs.items():
                if value is not None:
                    torch.testing.assert_close(mine[name], value, rtol=0, atol=1e-5)
        away = (prompt["encoder_hidden_states"] - empty["encoder_hidden_states"]).abs().max()
        assert away > 1e-3


@pytest.mark.parametrize("kind", SMALL)
def test_every_class_has_a_table(kind):
    """A new class is a row: its table is as long as its prompts, or there is none."""
    pipe = build(kind)
    assert type(pipe).__name__ in CLASSES
    teacher = Teacher.of(pipe, PROMPTS if kind != "ddpm" else (), size=(32, 32))
    assert len(teacher.net.conditions) == (3 if kind != "ddpm" else 0)
    assert teacher.net.num_classes == (3 if kind != "ddpm" else None)
    asked = teacher.net.conditions.rows(None, 5, torch.device("cpu"), torch.bfloat16)
    assert all(len(row) == 5 and row.dtype == torch.bfloat16 for row in asked.values())


@pytest.mark.parametrize("kind", ["sd", "sdxl", "wan"])
def test_a_table_that_is_too_large_gives_the_same_rows(kind):
    teacher = teacher_of(kind)
    encode, asked = counted(teacher)
    lazy = Conditions(encode, PROMPTS, resident=1000)
    assert not lazy.resident and teacher.net.conditions.resident and len(lazy) == 3
    assert asked == [("",)] or asked == [[""]]
    order = (1, 0, 3, 1, 2)
    mine, held = rows(lazy, *order), rows(teacher.net.conditions, *order)
    assert mine.keys() == held.keys()
    for name, row in mine.items():
        torch.testing.assert_close(row, held[name], rtol=0, atol=1e-6)
    there = Conditions(encode, PROMPTS, resident=0).rows(torch.tensor([0, 3]), 2, torch.device("meta"), torch.float32)
    assert all(row.device.type == "meta" and len(row) == 2 for row in there.values())  # the empty one moves with others
    count = len(asked)
    rows(lazy, 2, 0)
    assert len(asked) == count  # remembered
    nothing = lazy.rows(None, 2, torch.device("cpu"), torch.float32)
    for name, row in rows(lazy, 3, 3).items():
        assert torch.equal(row, nothing[name])


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_are_encoded_where_the_text_encoders_are(kind, monkeypatch):
    """A pipeline whose network lives on an accelerator calls that its device; "meta" stands for one here."""
    teacher = teacher_of(kind)
    held = {name: table.clone() for name, table in teacher.net.conditions.table.items()}
    monkeypatch.setattr(type(teacher.pipe), "device", property(lambda self: torch.device("meta")))
    again = teacher.knowing(PROMPTS).net.conditions.table
    for name, table in held.items():
        torch.testing.assert_close(again[name], table, rtol=0, atol=1e-6)


def test_what_is_remembered_has_an_end(monkeypatch):
    monkeypatch.setattr("workbench.teachers.from_diffusers.conditions.RECENT", 2)
    teacher = teacher_of("sd")
    encode, asked = counted(teacher)
    prompts = [f"{word} circle" for word in ("red", "blue", "green", "big")]
    lazy = Conditions(encode, prompts, resident=0)  # asks for the empty prompt at once
    whole = Conditions(encoding(teacher), prompts)
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (0, 0), (4, 1)):
        torch.testing.assert_close(rows(lazy, *order), rows(whole, *order), rtol=0, atol=1e-6)
    assert len(lazy.recent) == 2 and asked[1:] == [prompts, ["blue circle"]]  # as many as a batch has, at least


def test_a_resident_table_asks_once():
    teacher = teacher_of("sd")
    encode, asked = counted(teacher)
    table = Conditions(encode, [f"{number} circles" for number in range(40)])
    count = len(asked)
    assert [len(some) for some in asked] == [1, 16, 16, 8]
    rows(table, 0, 39, 40)
    table.rows(None, 3, torch.device("cpu"), torch.float32)
    assert len(asked) == count


def test_prompts_and_their_indices():
    table = teacher_of("sd", ["one", "two", "one"]).net.conditions
    assert [table.index(prompt) for prompt in ("two", "one")] == [1, 0] and len(table) == 3
    with pytest.raises(ValueError, match="'three' is not among the 3 prompts of this table: name it when"):
        table.index("three")
    with pytest.raises(ValueError, match="no prompt 4: indices go from 0 to 3, which is the empty one"):
        rows(Conditions(table.encode, table.prompts, resident=0), 4)
    with pytest.raises(IndexError):
        rows(table, 4)


@pytest.mark.parametrize("kind", ["sd", "flux", "wan"])
def test_hostile_prompts_arrive_as_text(kind, tmp_path, monkeypatch):
    """Each is encoded as the pipeline itself encodes it, alone or among others; nothing is run or shortened before."""
    monkeypatch.chdir(tmp_path)
    teacher = teacher_of(kind, HOSTILE)
    table = teacher.net.conditions
    assert list(table.prompts) == HOSTILE and len(HOSTILE[1]) == 10_000
    assert [table.index(prompt) for prompt in HOSTILE] == list(range(len(HOSTILE)))
    for index, prompt in enumerate(HOSTILE):
        alone, _ = encoding(teacher)([prompt])
        for name, row in rows(table, index).items():
            torch.testing.assert_close(row, alone[name], rtol=0, atol=1e-5)
            assert bool(row.isfinite().all())
    assert not list(tmp_path.iterdir())


def test_a_line_break_is_a_space_and_not_an_end():
    table = teacher_of("sd", ["a red circle", "a red\ncircle", "a red"]).net.conditions
    one, broken, short = (rows(table, index)["encoder_hidden_states"] for index in range(3))
    assert torch.equal(one, broken) and not torch.equal(one, short)


def test_copies_share_the_table():
    teacher = teacher_of("sd")
    other = copy.deepcopy(teacher.net)
    assert other.conditions is teacher.net.conditions and other.model is not teacher.net.model
    assert not any("conditions" in name for name in other.state_dict())
    again = teacher.knowing(["a green triangle"])
    assert len(again.net.conditions) == 1 and len(other.conditions) == 3
