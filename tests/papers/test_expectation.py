import pytest

from workbench.papers.expectation import parse


@pytest.mark.parametrize("text, smaller, factor, margin", [
    ("on < off", True, 1, 0), ("on > off", False, 1, 0), ("on < 0.5 * off", True, 0.5, 0), ("on>2*off", False, 2, 0),
    ("on < off - 0.1", True, 1, -0.1), ("on > off + 1e-2", False, 1, 0.01), ("on <= off + 0.02", True, 1, 0.02),
    ("on <= 1.1 * off", True, 1.1, 0), ("on >= off - 0.1", False, 1, -0.1),
])
def test_forms(text, smaller, factor, margin):
    found = parse(text)
    assert (found.smaller, found.factor, found.margin) == (smaller, factor, margin)


@pytest.mark.parametrize("text, word", [
    ("off < on", "not understood"), ("on < of", "not understood"), ("on < off * 2", "not understood"), ("", "not"),
    ("on < off + 0.1", "no effect at all would pass"), ("on < 1.5 * off", "no effect"), ("on > off - 1", "no effect"),
    ("on <= off", "needs slack"), ("on <= 0.5 * off", "needs slack"), ("on >= off + 1", "needs slack"),
    ("on < 0.5 * off - 1", "not both"), ("on < 0 * off", "must be positive"),
])
def test_refused(text, word):
    with pytest.raises(ValueError, match=word):
        parse(text)
