from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.seal import Damaged, seal, unseal


@given(st.binary())
def test_what_was_sealed_comes_back(data: bytes) -> None:
    assert unseal(seal(data)) == data


@given(st.binary(), st.data())
def test_a_flipped_bit_is_found(data: bytes, draw: st.DataObject) -> None:
    sealed = bytearray(seal(data))
    sealed[draw.draw(st.integers(0, len(sealed) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    with pytest.raises(Damaged, match="conscope: the recovery store is damaged"):
        unseal(bytes(sealed))


@given(st.binary(max_size=3))
def test_what_is_too_short_is_found(data: bytes) -> None:
    with pytest.raises(Damaged):
        unseal(data)
