"""Train the gated cross-attention on frozen encoders.

    python -m training.fusion --data runs/first/data --out runs/first

A case is a true pair, a pseudo-pair from `training.pairing`, a photo alone or a text alone. Pairs
lose a modality at random (modality dropout), so that the model learns to do without either. Some
photos are shown degraded and some texts cut short, and the gate is told which modality's own answer
is right about the very input at hand: so it learns when not to trust a photo. The encoders and
their two heads stay as the earlier stages left them. Patches of the photos and of their poor views
are computed once and kept in `OUT/cache`. 4.8 minutes with `--preset cpu` on two idle cores, of
which the training itself takes 1.6. Writes `fusion/fusion.safetensors`.

Shapes: B batch, P photos, V views, N patches, D width, T tokens, K conditions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from dermmm.conditions import NAMES
from dermmm.fusion import FusionOutput
from dermmm.model import DermModel, ModelConfig
from dermmm.tokenizer import Tokenizer
from training import image_classifier, text_classifier, text_pretraining
from training.answers import Answers
from training.dataset import read_manifest, read_synthetic, read_texts, soft_targets
from training.degrade import cut
from training.features import BATCH, cached_patches
from training.loop import LoopConfig, Sampler, Step, by_length, fit, shuffled
from training.objectives import balanced_softmax, gate_supervision, log_prior
from training.stage import Stage, load_module, read_summary, run_stage, save_module

NAME = "fusion"
PLACEHOLDER = "."  # stands where a text is absent; masked, so never read


@dataclass(frozen=True)
class FusionConfig:
    loop: LoopConfig
    image_size: int
    rule: str = "quantile"  # which pseudo-pairs of training.pairing to use, or "none"
    drop_image: float = 0.2  # share of pairs that lose their photo
    drop_text: float = 0.2  # share of pairs that lose their text
    views: int = 2  # poor views that are computed of each photo
    poor: float = 0.5  # share of photos that are shown as one of their poor views
    cut: float = 0.5  # share of texts of which only a random run of words is read
    gate_weight: float = 1.0  # of the gate's supervision beside the loss of the answer; 0 for none
    gate_sharpness: float = 1.0  # see `training.objectives.gate_supervision`
    width: int = 192
    heads: int = 6


@dataclass(frozen=True)
class Batch:
    """What a fusion reads, in the order of its arguments, and what it should answer."""

    inputs: tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
    targets: Tensor  # (B, K)


@dataclass(frozen=True)
class Inputs:
    """The training cases of a fusion, its photos encoded: computed once, drawn from many times."""

    config: FusionConfig
    model: DermModel  # frozen; only its text encoder is used
    tokenizer: Tokenizer
    cases: pd.DataFrame  # from `training_cases`
    targets: Tensor  # (cases, K)
    patches: np.ndarray  # (P, 1 + V, N, D)
    place: np.ndarray  # (rows,) of a row's photo among the P
    texts: list[list[str]]  # (rows,) wordings

    @property
    def prior(self) -> Tensor:
        """(K,) log frequency of each condition among the cases."""
        return log_prior(self.targets.sum(dim=0))

    def draw(self, step: Step) -> Batch:
        """The cases of a step, each with its random view, wording, cut and missing modality."""
        config, chosen = self.config, self.cases.iloc[step.indices]
        photo, text = chosen["photo"].to_numpy(), chosen["text"].to_numpy()
        drop = torch.rand(len(photo)).numpy()
        both = (photo >= 0) & (text >= 0)
        photo = np.where(both & (drop < config.drop_image), -1, photo)
        text = np.where(both & (drop > 1 - config.drop_text), -1, text)
        view = np.zeros(len(photo), dtype=np.int64)
        if config.views:
            drawn = torch.randint(1, config.views + 1, (len(photo),)).numpy()
            view = np.where(torch.rand(len(photo)).numpy() < config.poor, drawn, 0)
        looks = np.zeros((len(photo), *self.patches.shape[2:]), np.float32)
        seen = photo >= 0
        looks[seen] = self.patches[self.place[photo[seen]], view[seen]]
        wordings = [self._wording(case) if case >= 0 else PLACEHOLDER for case in text.tolist()]
        token_ids, token_mask = (part.to(step.device) for part in self.tokenizer(wordings))
        with torch.no_grad():
            states, _ = self.model.text_encoder.to(step.device)(token_ids, token_mask)
        return Batch(
            (
                torch.from_numpy(looks).to(step.device),
                states,
                token_mask,
                torch.from_numpy(seen).to(step.device),
                torch.from_numpy(text >= 0).to(step.device),
            ),
            self.targets[step.indices].to(step.device),
        )

    def sampler(self, loop: LoopConfig) -> Sampler:
        """Every case once an epoch, texts of like length in one batch."""
        lengths = [len(self.texts[text][0]) if text >= 0 else 0 for text in self.cases["text"]]
        everyone = shuffled(len(self.cases), loop.seed)
        return by_length(everyone, np.array(lengths), loop.batch_size, loop.seed)

    def _wording(self, case: int) -> str:
        wording = self.texts[case][int(torch.randint(len(self.texts[case]), ()))]
        chance, share, place = torch.rand(3).tolist()
        return cut(wording, share, place) if chance < self.config.cut else wording


def build_model(config: FusionConfig, out: Path) -> tuple[DermModel, Tokenizer]:
    """The whole model with the trained encoders and heads, and a fusion that is still random."""
    photos = image_classifier.load_classifier(out)
    texts, tokenizer = text_classifier.load_classifier(out)
    settings = text_pretraining.read_config(out)
    model = DermModel(
        ModelConfig(
            conditions=len(NAMES),
            vocabulary=tokenizer.vocabulary,
            image_size=config.image_size,
            max_tokens=settings.max_tokens,
            text_width=settings.width,
            text_layers=settings.layers,
            text_heads=settings.heads,
            fusion_width=config.width,
            fusion_heads=config.heads,
        )
    )
    model.image_encoder.load_state_dict(photos.encoder.state_dict())
    model.text_encoder.load_state_dict(texts.encoder.state_dict())
    model.fusion.image_head.load_state_dict(photos.head.state_dict())
    model.fusion.text_head.load_state_dict(texts.head.state_dict())
    return model, tokenizer


def read_config(out: Path) -> FusionConfig:
    """The configuration with which this stage was run."""
    settings = read_summary(out, NAME)["config"]
    return FusionConfig(**{**settings, "loop": LoopConfig(**settings["loop"])})


def load_model(out: Path) -> tuple[DermModel, Tokenizer]:
    """The whole model as this stage left it."""
    model, tokenizer = build_model(read_config(out), out)
    load_module(model.fusion, out / NAME / "fusion.safetensors")
    return model.eval(), tokenizer


def training_cases(train: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Which photo goes with which text.

    Args:
        train: manifest rows of the training split that have a condition, and the synthetic rows
            that a pair names, indexed from 0.
        pairs: pseudo-pairs (row ids); a photo that is in one is not used alone as well.

    Returns:
        a table with the columns photo and text (positions in ``train``, or -1), row (the position
        whose label counts) and kind.
    """
    position = {row_id: index for index, row_id in enumerate(train["id"])}
    here = np.arange(len(train))
    own = pd.DataFrame(
        {
            "photo": np.where(train["photo"] != "", here, -1),
            "text": np.where(train["text_path"] != "", here, -1),
            "row": here,
        }
    )
    own["kind"] = np.select(
        [own["text"] < 0, own["photo"] < 0], ["photo alone", "text alone"], "true pair"
    )
    own = own[~train["id"].isin({*pairs["photo"]})]
    own = own[(own["photo"] >= 0) | (own["text"] >= 0)]  # a synthetic text is there for its pair
    photo = np.array([position[row_id] for row_id in pairs["photo"]], dtype=np.int64)
    text = np.array([position[row_id] for row_id in pairs["text"]], dtype=np.int64)
    pseudo = pd.DataFrame({"photo": photo, "text": text, "row": photo, "kind": "pseudo-pair"})
    return pd.concat([own, pseudo], ignore_index=True)


def prepare(
    config: FusionConfig, data: Path, out: Path, pairs: pd.DataFrame | None = None
) -> Inputs:
    """Read the training cases and encode their photos, unless `OUT/cache` has them.

    Args:
        pairs: pseudo-pairs (photo and text, row ids); None for those of the rule in ``config``.

    Raises:
        ValueError: there are none of that rule.
    """
    if pairs is None:
        pairs = pd.read_csv(data / "synthetic" / "pairs.csv", dtype=str)
        pairs = pairs[pairs["rule"] == config.rule]
        if config.rule != "none" and pairs.empty:
            raise ValueError(
                f"{data / 'synthetic' / 'pairs.csv'} holds no pair of the rule {config.rule!r}; "
                'run training.pairing again, or choose the rule "none"'
            )
    manifest = read_manifest(data)
    train = manifest[(manifest["split"] == "train") & (manifest["condition"] != "")]
    synthetic = read_synthetic(data)
    paired = synthetic[synthetic["id"].isin(pairs["text"])]  # the others stay unread here
    train = pd.concat([train, paired], ignore_index=True).fillna("")
    cases = training_cases(train, pairs)
    model, tokenizer = build_model(config, out)
    model.requires_grad_(False).eval()
    with_photo = train[train["photo"] != ""]
    place = np.full(len(train), -1)
    place[with_photo.index] = np.arange(len(with_photo))
    return Inputs(
        config=config,
        model=model,
        tokenizer=tokenizer,
        cases=cases,
        targets=torch.from_numpy(soft_targets(train)[cases["row"]]),
        patches=cached_patches(
            model.image_encoder,
            data,
            list(with_photo["photo"]),
            config.image_size,
            out / "cache",
            config.views,
        ),
        place=place,
        texts=read_texts(data, train),
    )


def train(config: FusionConfig, inputs: Inputs, out: Path, folder: Path) -> tuple[DermModel, float]:
    """Train a new fusion on prepared cases; ``folder`` keeps the state, the log and the result.

    Args:
        config: may differ from that of ``inputs`` in the seed, the loop and the gate's supervision.

    Returns:
        the model, and the minutes it took.
    """
    torch.manual_seed(config.loop.seed)
    model, _ = build_model(config, out)
    # The heads stay frozen: they are what the other two answers are made of.
    model.fusion.image_head.requires_grad_(False)
    model.fusion.text_head.requires_grad_(False)
    # The gate is to weigh what the heads will say, not what dropout makes of it.
    model.fusion.image_head.dropout.p = model.fusion.text_head.dropout.p = 0.0
    prior = inputs.prior

    def batch_loss(module: nn.Module, step: Step) -> Tensor:
        batch = inputs.draw(step)
        output = module(*batch.inputs)
        answer = balanced_softmax(output.fused_logits, batch.targets, prior.to(step.device))
        return answer + config.gate_weight * gate_loss(output, batch, config.gate_sharpness)

    sampler = inputs.sampler(config.loop)
    minutes = fit(folder, model.fusion, batch_loss, sampler, config.loop)
    save_module(model.fusion, folder / "fusion.safetensors")
    return model.eval(), minutes


def gate_loss(output: FusionOutput, batch: Batch, sharpness: float) -> Tensor:
    """The gate's supervision on the cases of a batch that have both modalities.

    The heads were trained with class frequencies taken out, so their softmax needs no prior.
    """
    *_, image_present, text_present = batch.inputs
    both = image_present & text_present
    likelihood = torch.stack(
        [
            (logits.detach().float().softmax(dim=1) * batch.targets).sum(dim=1)
            for logits in (output.image_logits, output.text_logits)
        ],
        dim=1,
    )  # (B, 2)
    return gate_supervision(output.gate[both], likelihood[both], sharpness)


@torch.inference_mode()
def pair_inputs(
    model: DermModel, tokenizer: Tokenizer, patches: np.ndarray, texts: Sequence[str]
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor, Tensor]]:
    """What a fusion reads of encoded photos (B, N, D), each with its text, in batches."""
    for start in range(0, len(texts), BATCH):
        token_ids, token_mask = tokenizer(texts[start : start + BATCH])
        states, _ = model.text_encoder(token_ids, token_mask)
        looks = torch.from_numpy(patches[start : start + BATCH].astype(np.float32))
        present = torch.ones(len(looks), dtype=torch.bool)
        yield looks, states, token_mask, present, present


@torch.inference_mode()
def answer_pairs(
    model: DermModel, tokenizer: Tokenizer, patches: np.ndarray, texts: Sequence[str]
) -> Answers:
    """Answer photos (B, N, D) that are encoded already, each with its text.

    `training.answers.answer_rows` does it from the photos. Patches are kept in half precision, so
    the two differ by rounding.
    """
    said = [model.fusion(*inputs) for inputs in pair_inputs(model, tokenizer, patches, texts)]
    return Answers(
        *(
            torch.cat([getattr(one, name) for one in said])
            for name in ("image_logits", "text_logits", "fused_logits", "gate")
        )
    )


def main(config: FusionConfig, data: Path, out: Path) -> dict[str, object]:
    inputs = prepare(config, data, out)
    _, minutes = train(config, inputs, out, out / NAME)
    kinds = inputs.cases["kind"].value_counts()
    return {"minutes": minutes, "cases": {str(kind): int(n) for kind, n in kinds.items()}}


STAGE = Stage(NAME, main)

if __name__ == "__main__":
    run_stage(STAGE, __doc__)
