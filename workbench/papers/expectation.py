"""What a claim expects of its two arms, parsed: ``on < off``, ``on < 0.5 * off``, ``on <= off + 0.02``.

``<`` and ``>`` claim an effect, so a threshold that a null effect could pass is refused. ``<=`` and ``>=`` claim
non-inferiority and need the slack they allow, as a margin or as a factor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NUMBER = r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"
FORM = re.compile(rf"\s*on\s*(<=|>=|<|>)\s*(?:{NUMBER}\s*\*\s*)?off\s*(?:([+-])\s*{NUMBER})?\s*")
HELP = 'write "on < off", "on > off", "on < 0.5 * off", "on < off - 0.1" or "on <= off + 0.1"'


@dataclass(frozen=True)
class Expectation:
    """on compared with factor * off + margin; ``smaller`` says on which side on must lie."""

    text: str
    smaller: bool
    factor: float = 1.0
    margin: float = 0.0

    @property
    def ratio(self) -> bool:
        """True when the claim is about on/off and is tested on log-ratios; else on - off is."""
        return self.factor != 1.0


def parse(text: str) -> Expectation:
    """The expectation a text states; ValueError names what is wrong with it and how to write it."""
    match = FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"expect = {text!r} is not understood: {HELP}")
    sign, factor, plus_minus, amount = match.groups()
    smaller, slack_allowed = sign[0] == "<", len(sign) == 2
    expectation = Expectation(
        text, smaller, float(factor) if factor else 1.0, float(f"{plus_minus}{amount}") if amount else 0.0
    )
    if expectation.factor <= 0:
        raise ValueError(f"expect = {text!r}: the factor must be positive")
    if expectation.ratio and expectation.margin:
        raise ValueError(f"expect = {text!r}: give a factor or a margin, not both")
    looser, factor = (1 if smaller else -1), expectation.factor
    slack = max(looser * (factor - 1), looser * expectation.margin)
    if slack_allowed and slack <= 0:
        example = f"on {sign} off {'+' if smaller else '-'} 0.1"
        raise ValueError(f"expect = {text!r}: non-inferiority needs slack, as in {example!r}")
    if not slack_allowed and slack > 0:
        raise ValueError(f"expect = {text!r}: no effect at all would pass; write {sign}= for non-inferiority")
    return expectation
