"""Batches: pure functions of seed, step and block; every item once an epoch; bad ones passed over by count."""

from collections import Counter

import pytest
import torch

from tests.train.toys import bits, drain, new
from workbench.benches.sources import BadItem, Batches, ImageFolder, Prompts, faults
from workbench.train.checkpoint import restore, save_run
from workbench.types import Samples

COUNT = 23


@pytest.fixture
def folder(tmp_path, encoded):
    for number in range(COUNT):
        (tmp_path / f"{number:02d}.png").write_bytes(encoded(number))
        (tmp_path / f"{number:02d}.txt").write_text(f"prompt {number}")
    return tmp_path


@pytest.fixture
def prompts(tmp_path):
    (tmp_path / "p.txt").write_text("\n".join(f"prompt {n}" for n in range(COUNT)))
    return Prompts(tmp_path / "p.txt")


def same(one: Samples, other: Samples) -> bool:
    return torch.equal(one.x, other.x) and torch.equal(one.y, other.y)


def test_pictures_and_their_prompts_stay_together(folder, colour):
    data = Batches(ImageFolder(folder, 8), seed=0, batch_size=4)
    batch = data.at(3)
    assert batch.x.shape == (4, 3, 8, 8) and batch.x.dtype == torch.float32
    assert batch.y.shape == (4,) and batch.y.dtype == torch.int64
    assert [colour(x) for x in batch.x] == batch.y.tolist()
    assert [data.source.prompts[i] for i in batch.y] == [f"prompt {i}" for i in batch.y]


def test_resuming_is_exact_with_no_state(folder):
    whole, order = Batches(ImageFolder(folder, 8), 7, 5, threads=1), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    known = [whole.at(step) for step in order]
    later = Batches(ImageFolder(folder, 8), 7, 5)
    assert all(same(later.at(step), known[step]) for step in (6, 7, 8, 9))  # a second process goes on from step 6
    assert all(same(later.at(step), known[step]) for step in reversed(order))
    assert later.fingerprint == whole.fingerprint
    other = Batches(ImageFolder(folder, 8), 8, 5)
    assert other.fingerprint != whole.fingerprint
    assert not all(same(other.at(step), known[step]) for step in order)


@pytest.mark.parametrize(("batch_size", "blocks"), [(1, 1), (4, 1), (4, 3), (COUNT, 1), (60, 1), (7, 2)])
def test_every_item_comes_once_an_epoch(prompts, batch_size, blocks):
    data = Batches(prompts, 0, batch_size, blocks=blocks, shape=(1,))
    turns = [i for step in range(4 * COUNT) for block in range(blocks) for i in data.at(step, block).y.tolist()]
    epochs = [tuple(turns[start : start + COUNT]) for start in range(0, len(turns) - COUNT + 1, COUNT)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len(set(epochs)) == len(epochs) >= 4 and tuple(range(COUNT)) not in epochs


def test_blocks_of_one_step_differ_and_do_not_know_how_many_there_are(prompts):
    """Without ``blocks`` each walks in its own order; two processes of a step see what two blocks of one would."""
    data = Batches(prompts, 0, 4, shape=(1,))
    streams = [[i for step in range(COUNT) for i in data.at(step, block).y.tolist()] for block in range(3)]
    assert all(Counter(stream) == Counter({i: 4 for i in range(COUNT)}) for stream in streams)
    assert len({tuple(stream) for stream in streams}) == 3
    with pytest.raises(ValueError, match="block 2 of 2"):
        Batches(prompts, 0, 4, blocks=2, shape=(1,)).at(0, 2)


def test_prompts_alone_have_a_shape_and_nothing_in_it(prompts):
    batch = Batches(prompts, 0, 4, shape=(4, 2, 2)).at(0)
    assert batch.x.shape == (4, 4, 2, 2) and bool(batch.x.isnan().all()) and batch.y.tolist() == batch.y.tolist()
    with pytest.raises(ValueError, match="give shape="):
        Batches(prompts, 0, 4)


def test_latents_come_from_encode_without_gradients(folder):
    weight = torch.ones(1, requires_grad=True)
    source = ImageFolder(folder, 8)
    plain, coded = Batches(source, 0, 4), Batches(source, 0, 4, encode=lambda x: x[:, :, ::2, ::2] * weight)
    batch = coded.at(1)
    assert torch.equal(batch.x, plain.at(1).x[:, :, ::2, ::2]) and not batch.x.requires_grad
    assert torch.equal(batch.y, plain.at(1).y)


def test_each_picture_is_decoded_once_and_ahead_of_its_turn(folder, monkeypatch):
    seen = []
    image = ImageFolder.image
    monkeypatch.setattr(ImageFolder, "image", lambda self, index: seen.append(index) or image(self, index))
    data = Batches(ImageFolder(folder, 8), 0, 4, blocks=2)
    turns = [i for step in range(3) for block in range(2) for i in data.at(step, block).y.tolist()]
    data.pool.shutdown()
    coming = [i for block in range(2) for i in data.indices(3, block).tolist()]
    assert sorted(seen) == sorted(turns + coming)


def test_a_run_goes_on_from_its_checkpoint_bit_by_bit(folder, tmp_path_factory):
    """The data have no state in the checkpoint: a new process with new objects reads what comes next."""
    def born(place, seed=0):
        source = ImageFolder(folder, 8)
        data = Batches(source, seed, 4, blocks=2, encode=lambda x: x.mean((2, 3))[:, :2])
        return new(data=data, steps=8, blocks=2, folder=place)

    whole, place = drain(born(tmp_path_factory.mktemp("whole"))), tmp_path_factory.mktemp("broken")
    save_run(drain(born(place), 5))
    later = born(place)
    restore(later)
    assert later.step == 5 and bits(drain(later)) == bits(whole)
    assert bits(drain(born(tmp_path_factory.mktemp("other"), seed=1))) != bits(whole)


def test_pictures_alone_have_no_y(folder):
    assert Batches(ImageFolder(folder, 8, captioned=False), 0, 4).at(0).y is None


def test_a_bad_item_raises_by_name_or_is_passed_over_by_count(folder, colour):
    (folder / "05.png").write_bytes(b"torn")
    (folder / "06.txt").unlink()
    (folder / "22.txt").write_text("")
    source = ImageFolder(folder, 8)
    strict, kind = Batches(source, 0, 5), Batches(source, 0, 5, on_bad="skip")
    with pytest.raises(BadItem, match="05.png is no picture|06.png has no caption|22.txt is an empty prompt"):
        [strict.at(step) for step in range(5)]
    turns, found = [], []
    for step in range(COUNT):
        batch = kind.at(step)
        turns, found = turns + kind.indices(step).tolist(), found + batch.y.tolist()
        assert [colour(x) for x in batch.x] == batch.y.tolist()
    assert found == [{5: 7, 6: 7, 22: 0}.get(turn, turn) for turn in turns]  # the next good one, round the end
    assert sorted(kind.skipped) == [5, 6, 22] == [index for index, _ in faults(source)]
    assert "05.png" in kind.skipped[5] and "06.txt" in kind.skipped[6]
    later = Batches(ImageFolder(folder, 8), 0, 5, on_bad="skip")
    assert later.at(COUNT - 1).y.tolist() == found[-5:]


def test_nothing_but_bad_items_ends(tmp_path):
    (tmp_path / "p.txt").write_text(" \n" * 5)
    with pytest.raises(ValueError, match="no usable item among 5"):
        Batches(Prompts(tmp_path / "p.txt"), 0, 2, shape=(1,), on_bad="skip").at(0)


def test_a_failing_disk_is_never_passed_over(folder):
    source = ImageFolder(folder, 8)
    for name in source.names:
        (folder / name).unlink()
    with pytest.raises(FileNotFoundError):
        Batches(source, 0, 2, on_bad="skip").at(0)


@pytest.mark.parametrize(("settings", "said"), [
    (dict(batch_size=0), "at least 1"), (dict(blocks=0), "at least 1"), (dict(on_bad="ignore"), "one of raise, skip"),
    (dict(shape=(3,)), "for prompts alone"),
])
def test_settings_that_do_not_fit(folder, settings, said):
    with pytest.raises(ValueError, match=said):
        Batches(ImageFolder(folder, 8), 0, **{"batch_size": 2, **settings})
