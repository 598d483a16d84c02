"""From a photo and/or a description to a `Prediction`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from dermmm import checkpoint as checkpoints
from dermmm import occlusion
from dermmm.calibration import prediction_set, probabilities
from dermmm.checkpoint import Checkpoint
from dermmm.explain import case_weights, explain_words
from dermmm.fusion import FusionOutput
from dermmm.image_encoder import grid_side
from dermmm.model import DermModel
from dermmm.onnx_model import OnnxModel
from dermmm.onnx_model import available as onnx_available
from dermmm.outside import modalities_disagree, tokens_per_word
from dermmm.prediction import Effects, Explanation, Gate, ModelIdentity, Prediction, Word
from dermmm.preprocess import WHOLE, Box, Photo, normalise, open_photo, square

DEFAULT_CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"
MAX_CHARACTERS = 20_000


def load(path: str | PathLike[str] | None = None, onnx: bool = False) -> Predictor:
    """See `dermmm.load`."""
    checkpoint = checkpoints.load(DEFAULT_CHECKPOINTS if path is None else path)
    if not (onnx and onnx_available()):
        return Predictor(checkpoint)
    model = OnnxModel(checkpoint.model)
    # Only small steps are left to torch. Its threads, waiting for more, would be in the way.
    torch.set_num_threads(1)
    return Predictor(checkpoint, model)


@dataclass(frozen=True)
class Case:
    """What was given, checked and decoded; at least one of the two."""

    photo: Image.Image | None  # upright RGB
    pixels: np.ndarray | None  # (S, S, 3) uint8, the square that the model sees
    text: str | None

    @property
    def answer(self) -> str:
        """Which head answers: the modality's own, or the fused one where both were given."""
        return "image" if self.text is None else "text" if self.photo is None else "fused"


class Predictor:
    """Answers cases. It keeps nothing of a case, so threads may share it."""

    def __init__(self, checkpoint: Checkpoint, model: DermModel | None = None) -> None:
        """``model`` runs in place of the checkpoint's own, whose results it has."""
        self.checkpoint = checkpoint
        self.model = checkpoint.model if model is None else model
        self.identity = ModelIdentity(checkpoint.version, checkpoint.sha256)

    @property
    def conditions(self) -> Sequence[str]:
        """The K condition names, in the order of every probability array."""
        return self.checkpoint.conditions

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What `training.evaluate` measured on the test split (the folder's metrics.json)."""
        return self.checkpoint.metrics

    @property
    def card(self) -> Mapping[str, Any]:
        """What the model is made of and where it comes from, as JSON values.

        Keys: licence of code and weights, parameters (weights) by part, image_size in pixels,
        max_tokens read of a text, temperatures of the three answers, and provenance.
        """
        model = self.checkpoint.model
        return {
            "licence": {"code": "Apache-2.0", "weights": self.checkpoint.licence},
            "parameters": {
                name: sum(weight.numel() for weight in module.parameters())
                for name, module in model.named_children()
            },
            "image_size": model.config.image_size,
            "max_tokens": model.config.max_tokens,
            "temperatures": self.checkpoint.temperatures,
            "provenance": self.checkpoint.provenance,
        }

    def open_photo(self, image: Photo, box: Box = WHOLE) -> np.ndarray:
        """The photo as `predict` reads it, or a part of it: see `dermmm.preprocess.open_photo`.

        Returns (H, W, 3) uint8.
        """
        return np.asarray(open_photo(image, box))

    def predict(
        self, image: Photo | None = None, text: str | None = None, explain: bool = True
    ) -> Prediction:
        """Answer one case.

        Args:
            image: a PIL image, a uint8 array (H, W, 3) or (H, W), a path, or a file's bytes.
            text: a description in plain English.
            explain: also tell where the model looked.

        Raises:
            FileNotFoundError: ``image`` is a path where nothing is.
            ValueError: neither was given, the text has no words, or the photo cannot be read.
        """
        case = self._read(image, text)
        (prediction,) = self._answer([case], explain)
        return prediction

    def predict_many(
        self, images: Sequence[Photo | None], texts: Sequence[str | None]
    ) -> list[Prediction | ValueError | OSError]:
        """Answer B cases together, without explanations.

        Args:
            images, texts: one each a case, or None, as for `predict`.

        Returns:
            for each case its answer, or what `predict` would have raised. It is what `predict`
            answers but for rounding (1e-5).

        Raises:
            ValueError: there are not as many photos as texts.
        """
        if len(images) != len(texts):
            raise ValueError(
                f"got {len(images)} photos and {len(texts)} texts; give one each a case"
            )
        results: list[Prediction | ValueError | OSError] = []
        alike: dict[str, list[tuple[int, Case]]] = {}  # a batch has the same inputs in every case
        for place, (image, text) in enumerate(zip(images, texts, strict=True)):
            try:
                case = self._read(image, text)
                alike.setdefault(case.answer, []).append((place, case))
                results.append(ValueError("not answered"))
            except (ValueError, OSError) as error:
                results.append(error)
        for cases in alike.values():
            predictions = self._answer([case for _, case in cases], explain=False)
            for (place, _), prediction in zip(cases, predictions, strict=True):
                results[place] = prediction
        return results

    def effects(self, image: Photo | None = None, text: str | None = None) -> Effects:
        """Tell what the answer's first condition owes to each phrase of the text and each region of
        the photo, and test the case's map and word weights by deletion.

        Takes some seven times as long as an answer. Arguments and errors are as in `predict`.
        """
        case = self._read(image, text)
        return occlusion.effects(self.checkpoint, self.model, case.answer, case.pixels, case.text)

    def _read(self, image: Photo | None, text: str | None) -> Case:
        """Check and decode what was given; raises as `predict` does."""
        if image is None and text is None:
            raise ValueError("got neither photo nor description; give at least one of them")
        if text is not None:
            _check_text(text)
        photo = None if image is None else open_photo(image)
        size = self.checkpoint.model.config.image_size
        return Case(photo, None if photo is None else square(photo, size), text)

    def _answer(self, cases: Sequence[Case], explain: bool) -> list[Prediction]:
        """Answer cases that have the same inputs; with ``explain`` a single one."""
        assert len(cases) == 1 or not explain
        tokenizer = self.checkpoint.tokenizer
        pixels = [case.pixels for case in cases if case.pixels is not None]
        texts = [case.text for case in cases if case.text is not None]
        token_ids, token_mask = tokenizer(texts) if texts else (None, None)
        with torch.inference_mode():
            images = normalise(torch.from_numpy(np.stack(pixels))) if pixels else None
            output = self.model(images, token_ids, token_mask)

        answers: dict[str, np.ndarray | None] = {
            "image": self._calibrated(output.image_logits, "image") if pixels else None,
            "text": self._calibrated(output.text_logits, "text") if texts else None,
        }
        # A photo or text alone is answered by its own head, which beats the fused head with an
        # absent token on validation (docs/training-log.md).
        alone = answers.get(cases[0].answer)
        fused = (
            self._calibrated(output.fused_logits, "fused")
            if alone is None
            else np.nan_to_num(alone)
        )
        cautions = self._cautions(pixels, texts, output, answers)
        explanation = self._explanation(cases[0], output, fused[0]) if explain else None
        abstention = self.checkpoint.abstention
        predictions = []
        for b, case in enumerate(cases):
            image_weight = float(output.gate[b, 0])
            by_modality = {
                name: None if values is None else values[b]
                for name, values in (*answers.items(), ("fused", fused))
            }
            predictions.append(
                Prediction(
                    conditions=self.checkpoint.conditions,
                    by_modality=by_modality,
                    gate=Gate(image=image_weight, text=1.0 - image_weight),
                    explanation=explanation,
                    model=self.identity,
                    prediction_set=self._set(case.answer, fused[b]),
                    set_coverage=None if abstention is None else abstention.coverage,
                    cautions=cautions[b],
                )
            )
        return predictions

    def _calibrated(self, logits: torch.Tensor, answer: str) -> np.ndarray:
        """(B, K) probabilities, NaN where the modality never learned the condition."""
        values = probabilities(logits, self.checkpoint.temperatures[answer]).double().numpy()
        return np.where(torch.isinf(logits).numpy(), np.nan, values)

    def _explanation(self, case: Case, output: FusionOutput, fused: np.ndarray) -> Explanation:
        """Where the model looked, from what it says of that case alone."""
        side = grid_side(self.checkpoint.model.config.image_size)
        attention, weights = case_weights(output, case.answer, int(fused.argmax()), side)
        words: tuple[Word, ...] = ()
        if case.text is not None and weights is not None:
            looks = None if case.photo is None else output.words_on_patches[0]
            words = explain_words(case.text, self.checkpoint.tokenizer, weights, looks, side)
        photo = None if case.photo is None else np.asarray(case.photo)
        return Explanation(photo, attention, case.text, words)

    def _set(self, answer: str, fused: np.ndarray) -> tuple[str, ...]:
        """The names of the prediction set; none where the checkpoint has no thresholds."""
        if self.checkpoint.abstention is None:
            return ()
        rule = self.checkpoint.abstention.sets[answer]
        return tuple(self.conditions[i] for i in prediction_set(fused, rule))

    def _cautions(
        self,
        pixels: Sequence[np.ndarray],
        texts: Sequence[str],
        output: FusionOutput,
        answers: Mapping[str, np.ndarray | None],
    ) -> list[tuple[str, ...]]:
        """Why not to trust each answer: keys of `dermmm.prediction.CAUTIONS`."""
        abstention = self.checkpoint.abstention
        count = len(output.gate)
        if abstention is None:
            return [()] * count
        scores: dict[str, Sequence[float] | np.ndarray] = {}  # (B,) each
        by_photo, by_text = (
            None if values is None else np.nan_to_num(values) for values in answers.values()
        )
        if by_photo is not None:
            features, logits = output.pooled_image.numpy(), output.image_logits.numpy()
            scores |= abstention.photo_scores(np.stack(pixels), features, logits, by_photo)
        if by_text is not None:
            tokenizer = self.checkpoint.tokenizer
            scores["words unknown"] = [tokens_per_word(tokenizer, text) for text in texts]
        disagree = np.zeros(count, dtype=bool)
        if by_photo is not None and by_text is not None:
            disagree = modalities_disagree(by_photo, by_text, abstention.sets)
        return [
            abstention.above_limit({name: float(values[b]) for name, values in scores.items()})
            + (("modalities disagree",) if disagree[b] else ())
            for b in range(count)
        ]


def _check_text(text: str) -> None:
    if not isinstance(text, str):
        raise ValueError(f"got a {type(text).__name__} as text; give a string")
    if not text.strip():
        raise ValueError("the description is empty; write a few words, or give only a photo")
    if len(text) > MAX_CHARACTERS:
        raise ValueError(
            f"the description has {len(text)} characters; at most {MAX_CHARACTERS} are read"
        )
    if not any(character.isalnum() for character in text):
        raise ValueError("the description has no readable words; write a few plain words")
    if any("\ud800" <= character <= "\udfff" for character in text):  # cannot be UTF-8
        raise ValueError("the description has broken characters; type or copy it again")
