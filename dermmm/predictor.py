"""From a photo and/or a description to a `Prediction`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dermmm import checkpoint as checkpoints
from dermmm.calibration import prediction_set, probabilities
from dermmm.checkpoint import Checkpoint
from dermmm.explain import evidence_weights, explain_words, grid, photo_attention, token_weights
from dermmm.fusion import FusionOutput
from dermmm.image_encoder import grid_side
from dermmm.outside import modalities_disagree, tokens_per_word
from dermmm.prediction import Explanation, Gate, ModelIdentity, Prediction
from dermmm.preprocess import Photo, normalise, open_photo, square

DEFAULT_CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"
MAX_CHARACTERS = 20_000


def load(path: str | PathLike[str] | None = None) -> Predictor:
    """See `dermmm.load`."""
    return Predictor(checkpoints.load(DEFAULT_CHECKPOINTS if path is None else path))


class Predictor:
    """Answers cases. It keeps nothing of a case, so threads may share it."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.identity = ModelIdentity(checkpoint.version, checkpoint.sha256)

    @property
    def conditions(self) -> Sequence[str]:
        """The K condition names, in the order of every probability array."""
        return self.checkpoint.conditions

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What `training.evaluate` measured on the test split (the folder's metrics.json)."""
        return self.checkpoint.metrics

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
        if image is None and text is None:
            raise ValueError("got neither photo nor description; give at least one of them")
        if text is not None:
            _check_text(text)
        model, tokenizer = self.checkpoint.model, self.checkpoint.tokenizer
        photo = None if image is None else open_photo(image)
        pixels = None if photo is None else square(photo, model.config.image_size)[None]
        token_ids, token_mask = (None, None) if text is None else tokenizer([text])
        with torch.inference_mode():
            images = None if pixels is None else normalise(torch.from_numpy(pixels.copy()))
            output = model(images, token_ids, token_mask)

        temperatures = self.checkpoint.temperatures

        def calibrated(logits: torch.Tensor, answer: str) -> np.ndarray:
            values = probabilities(logits, temperatures[answer])[0].double().numpy()
            return np.where(torch.isinf(logits[0]).numpy(), np.nan, values)

        answers: dict[str, np.ndarray | None] = {
            "image": None if photo is None else calibrated(output.image_logits, "image"),
            "text": None if text is None else calibrated(output.text_logits, "text"),
        }
        alone = [values for values in answers.values() if values is not None]
        # A photo or text alone is answered by its own head, which beats the fused head with an
        # absent token on validation (docs/training-log.md).
        fused = (
            calibrated(output.fused_logits, "fused") if len(alone) == 2 else np.nan_to_num(alone[0])
        )

        explanation = None
        if explain:
            side = grid_side(model.config.image_size)
            top = int(fused.argmax())
            looks = output.words_on_patches[0]  # (T, N)
            attention, weights = None, None
            if photo is not None and text is not None:
                weights = token_weights(output.patches_on_words[0])
                attention = photo_attention(looks, weights, side)
            elif photo is not None:
                attention = grid(evidence_weights(output.patch_evidence[0], top), side)
            else:
                weights = evidence_weights(output.token_evidence[0], top)
            explanation = Explanation(
                photo=None if photo is None else np.asarray(photo),
                attention=attention,
                description=text,
                words=()
                if text is None or weights is None
                else explain_words(
                    text, tokenizer, weights, None if photo is None else looks, side
                ),
            )
        abstention = self.checkpoint.abstention
        image_weight = float(output.gate[0, 0])
        return Prediction(
            conditions=self.checkpoint.conditions,
            by_modality={**answers, "fused": fused},
            gate=Gate(image=image_weight, text=1.0 - image_weight),
            explanation=explanation,
            model=self.identity,
            prediction_set=self._set(answers, fused),
            set_coverage=None if abstention is None else abstention.coverage,
            cautions=self._cautions(pixels, text, output, answers),
        )

    def _set(self, answers: Mapping[str, np.ndarray | None], fused: np.ndarray) -> tuple[str, ...]:
        """The names of the prediction set; none where the checkpoint has no thresholds."""
        if self.checkpoint.abstention is None:
            return ()
        given = [name for name, values in answers.items() if values is not None]
        rule = self.checkpoint.abstention.sets["fused" if len(given) == 2 else given[0]]
        return tuple(self.conditions[i] for i in prediction_set(fused, rule))

    def _cautions(
        self,
        pixels: np.ndarray | None,
        text: str | None,
        output: FusionOutput,
        answers: Mapping[str, np.ndarray | None],
    ) -> tuple[str, ...]:
        """Why not to trust the answer: keys of `dermmm.prediction.CAUTIONS`."""
        abstention = self.checkpoint.abstention
        if abstention is None:
            return ()
        scores: dict[str, float] = {}
        by_photo, by_text = (
            None if values is None else np.nan_to_num(values)[None] for values in answers.values()
        )
        if pixels is not None and by_photo is not None:
            features, logits = output.pooled_image.numpy(), output.image_logits.numpy()
            found = abstention.photo_scores(pixels, features, logits, by_photo)
            scores |= {name: float(values[0]) for name, values in found.items()}
        if text is not None:
            scores["words unknown"] = tokens_per_word(self.checkpoint.tokenizer, text)
        cautions = abstention.above_limit(scores)
        if by_photo is None or by_text is None:
            return cautions
        if modalities_disagree(by_photo, by_text, abstention.sets)[0]:
            cautions += ("modalities disagree",)
        return cautions


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
