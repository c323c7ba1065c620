"""A shuffled order of any length without memory: a keyed permutation, computed for the places that are asked for."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

ROUNDS = 8


class Permutation:
    """A permutation of [0, n) drawn by a 63-bit number: ``permutation(places) -> indices``, both int64 arrays.

    A balanced Feistel network over the next power of four mixes the two halves of a place's bits; a result of n or more
    is mixed again until it lies below n (cycle walking, under four times on average), which keeps it one to one.
    Costs no memory of size n. Source: Black and Rogaway, Ciphers with Arbitrary Finite Domains (2002), method 2 and 3.
    """

    def __init__(self, n: int, number: int) -> None:
        if n < 1:
            raise ValueError(f"a permutation needs at least one place, got n = {n}")
        self.n = n
        self.half = max(1, -(-(n - 1).bit_length() // 2))  # 4 ** half >= n
        raw = blake2b(number.to_bytes(8, "little"), digest_size=8 * ROUNDS).digest()
        self.keys = np.frombuffer(raw, "<u8")

    def __call__(self, places: np.ndarray) -> np.ndarray:
        x = self.mixed(np.asarray(places, dtype=np.uint64))
        outside = x >= self.n
        while outside.any():
            x[outside] = self.mixed(x[outside])
            outside = x >= self.n
        return x.astype(np.int64)

    def mixed(self, x: np.ndarray) -> np.ndarray:
        """One pass of the network over [0, 4 ** half)."""
        half, mask = np.uint64(self.half), np.uint64((1 << self.half) - 1)
        left, right = x >> half, x & mask
        for key in self.keys:
            left, right = right, left ^ (scrambled(right ^ key) & mask)
        return (left << half) | right


def scrambled(x: np.ndarray) -> np.ndarray:
    """The 64-bit finaliser of splitmix64, its better high half folded onto the low one."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31)) ^ (x >> np.uint64(32))
