"""Byte-level BPE: nothing is lost, and tokens find back to their words."""

from __future__ import annotations

import unicodedata

import pytest

from dermmm.tokenizer import PAD, Tokenizer

TEXTS = (
    "Itchy RED Rash On My Arm",
    "6 mm x 4.5 cm, 38.5 °C, 5 µg/mL, <1 %",
    "my eggzema is realy ichy an hurst alot",
    "皮肤红疹，手臂发痒",
    "éruption prurigineuse, Größe 3 mm, piel roja ñ",
    "it itches 😖🔥 since monday",
    "tabs\tand\nnew lines",
    "it's on-and-off, don’t know why",
    "zero\x00byte",
)


@pytest.fixture(scope="module")
def wide(tokenizer: Tokenizer) -> Tokenizer:
    """The same byte pairs, with room for any text of this file."""
    return Tokenizer.from_json(tokenizer.to_json(), max_tokens=128)


@pytest.mark.parametrize("text", TEXTS)
def test_round_trip(wide: Tokenizer, text: str) -> None:
    token_ids, token_mask = wide([text])
    assert token_mask.all()
    assert wide.decode(token_ids[0].tolist()) == text


def test_decomposed_accents_become_composed(wide: Tokenizer) -> None:
    decomposed = unicodedata.normalize("NFD", "naïve rash")
    token_ids, _ = wide([decomposed])
    assert wide.decode(token_ids[0].tolist()) == "naïve rash"


def test_batch_is_padded_and_masked(wide: Tokenizer) -> None:
    token_ids, token_mask = wide(["rash", "an itchy red rash on both arms"])
    alone, _ = wide(["rash"])
    length = alone.shape[1]
    assert token_ids.shape == token_mask.shape
    assert token_mask.sum(dim=1).tolist() == [length, token_ids.shape[1]]
    assert token_ids[0, :length].tolist() == alone[0].tolist()
    assert set(token_ids[0, length:].tolist()) == {wide.backend.token_to_id(PAD)}


def test_long_text_is_cut_at_max_tokens(tokenizer: Tokenizer) -> None:
    text = "itchy rash " * 100
    token_ids, token_mask = tokenizer([text])
    assert token_ids.shape == (1, tokenizer.max_tokens)
    assert token_mask.all()
    spans, owner = tokenizer.words(text)
    assert len(spans) == 200
    assert len(owner) == tokenizer.max_tokens
    assert max(owner) < 199


@pytest.mark.parametrize("text", TEXTS)
def test_words_are_found_and_own_their_tokens(wide: Tokenizer, text: str) -> None:
    spans, owner = wide.words(text)
    words = [text[start:end] for start, end in spans]
    assert len(owner) == wide([text])[0].shape[1]
    assert set(range(len(words))) <= set(owner), "every word has a token"
    inside = {i for start, end in spans for i in range(start, end)}
    outside = {character for i, character in enumerate(text) if i not in inside}
    assert not any(character.isalnum() for character in outside)
    for (start, end), offsets in (
        (spans[word], offsets)
        for word, offsets in zip(owner, wide.backend.encode(text).offsets, strict=True)
        if word >= 0
    ):
        assert offsets[0] < end and offsets[1] > start
    assert sorted(spans) == spans


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("it's on-and-off, don’t know", ["it's", "on-and-off", "don’t", "know"]),
        (unicodedata.normalize("NFD", "naïve café"), ["naïve", "café"]),
        ("(6 mm)", ["6", "mm"]),
        ("'quoted' - dash", ["quoted", "dash"]),
        ("!!! 😖", []),
        ("", []),
    ],
)
def test_words(wide: Tokenizer, text: str, words: list[str]) -> None:
    spans, owner = wide.words(text)
    found = [unicodedata.normalize("NFC", text[start:end]) for start, end in spans]
    assert found == words
    assert {word for word in owner if word >= 0} == set(range(len(words)))


def test_json_gives_the_same_tokenizer(tokenizer: Tokenizer) -> None:
    again = Tokenizer.from_json(tokenizer.to_json(), tokenizer.max_tokens)
    assert again.vocabulary == tokenizer.vocabulary
    assert again.to_json() == tokenizer.to_json()
    for mine, theirs in zip(again(TEXTS), tokenizer(TEXTS), strict=True):
        assert mine.tolist() == theirs.tolist()


def test_training_learns_words_and_at_most_the_vocabulary() -> None:
    tokenizer = Tokenizer.train(["itchy itchy rash"] * 20, vocabulary=300)
    assert tokenizer.vocabulary <= 300
    assert tokenizer(["itchy"])[0].shape == (1, 1)


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"model": {"type": "BPE"}}'])
def test_what_is_no_tokenizer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a tokenizer's JSON"):
        Tokenizer.from_json(text, 8)
