"""A byte-level BPE tokenizer, trained on our own text with the `tokenizers` library.

Byte-level, so that misspellings, units and non-English letters always survive a round trip.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence

import torch
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor

PAD, MASK = "[PAD]", "[MASK]"
_LETTERS = r"\w[\w\u0300-\u036f]*"  # with combining accents, as in "e" + "\u0301"
_WORD = re.compile(rf"{_LETTERS}(?:['’\-]{_LETTERS})*")


class Tokenizer:
    """Text to token ids, and tokens back to the words they came from."""

    def __init__(self, backend: Backend, max_tokens: int) -> None:
        self.backend = backend
        self.max_tokens = max_tokens
        backend.enable_truncation(max_tokens)
        backend.enable_padding(pad_id=backend.token_to_id(PAD), pad_token=PAD)

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: int, max_tokens: int = 128) -> Tokenizer:
        """Learn ``vocabulary`` byte pairs (Sennrich et al. 2016, arXiv:1508.07909) from texts."""
        backend = Backend(models.BPE())
        backend.normalizer = normalizers.NFC()
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        backend.decoder = decoders.ByteLevel()
        backend.train_from_iterator(
            texts,
            trainers.BpeTrainer(
                vocab_size=vocabulary,
                special_tokens=[PAD, MASK],
                initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                show_progress=False,
            ),
        )
        return cls(backend, max_tokens)

    @classmethod
    def from_json(cls, text: str, max_tokens: int) -> Tokenizer:
        """Read what `to_json` wrote. Raises ValueError if it is not a tokenizer's JSON."""
        try:
            return cls(Backend.from_str(text), max_tokens)
        except Exception as error:  # the library raises plain Exception
            raise ValueError(f"not a tokenizer's JSON: {error}") from None

    def to_json(self) -> str:
        return self.backend.to_str()

    @property
    def vocabulary(self) -> int:
        return self.backend.get_vocab_size()

    @property
    def mask_id(self) -> int:
        """The id of the token that stands for a hidden word."""
        mask_id = self.backend.token_to_id(MASK)
        assert mask_id is not None
        return mask_id

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Encode B texts to token_ids (B, T) int64 and token_mask (B, T) bool, True at tokens."""
        encodings = self.backend.encode_batch(list(texts))
        return (
            torch.tensor([encoding.ids for encoding in encodings], dtype=torch.int64),
            torch.tensor([encoding.attention_mask for encoding in encodings], dtype=torch.bool),
        )

    def decode(self, token_ids: Sequence[int]) -> str:
        return self.backend.decode(list(token_ids)).removeprefix(" ")

    def words(self, text: str) -> tuple[list[tuple[int, int]], list[int]]:
        """Find the words of ``text`` and which of them each of its tokens belongs to.

        Returns:
            spans: (start, end) of each word in ``text``, in reading order.
            owner: for each of the T tokens the index of its word, or -1 (punctuation alone).
        """
        spans = [match.span() for match in _WORD.finditer(text)]
        starts = [start for start, _ in spans]
        owner = []
        for start, end in self.backend.encode(text).offsets:
            word = bisect_left(starts, end) - 1  # the last word that starts before the token ends
            owner.append(word if word >= 0 and spans[word][1] > start else -1)
        return spans, owner
