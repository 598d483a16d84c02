"""Every stage's settings for four budgets.

* smoke: seconds a stage on made data, to see that the path is whole.
* cpu: two cores, about three hours by the sum of its stages, from random weights.
* further: one more round of both encoders from a published checkpoint (`--start-from`), about two
  hours. The shipped checkpoint comes from two rounds (docs/training-log.md).
* gpu: one GPU or more, a few hours. Starts on CPU with made data; never yet run on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from training.abstention import AbstentionConfig
from training.attention_faithfulness import AttentionFaithfulnessConfig
from training.audit import AuditConfig
from training.balance import BalanceConfig
from training.calibrate import CalibrateConfig
from training.distil import DistilConfig
from training.evaluate import EvaluateConfig
from training.fusion import FusionConfig
from training.fusion_controls import FusionControlsConfig
from training.gate_faithfulness import GateFaithfulnessConfig
from training.image_ablation import ImageAblationConfig
from training.image_classifier import ImageClassifierConfig
from training.loop import LoopConfig
from training.pad_folds import PadFoldsConfig
from training.pairing import PairingConfig
from training.pairing_ablation import PairingAblationConfig
from training.probe import ProbeConfig
from training.simclr import SimclrConfig
from training.source_shortcut import SourceShortcutConfig
from training.synthesize import SynthesizeConfig
from training.text_ablation import TextAblationConfig
from training.text_baseline import TextBaselineConfig
from training.text_classifier import TextClassifierConfig
from training.text_pretraining import TextPretrainingConfig


@dataclass(frozen=True)
class Preset:
    """The settings of one run; a field a stage, named as the stage is."""

    balance: BalanceConfig
    synthesize: SynthesizeConfig
    audit: AuditConfig
    simclr: SimclrConfig
    image_classifier: ImageClassifierConfig
    text_baseline: TextBaselineConfig
    text_pretraining: TextPretrainingConfig
    text_classifier: TextClassifierConfig
    probe: ProbeConfig
    pairing: PairingConfig
    fusion: FusionConfig
    calibrate: CalibrateConfig
    abstention: AbstentionConfig
    evaluate: EvaluateConfig
    text_ablation: TextAblationConfig  # by its own command, not by training.reproduce
    fusion_controls: FusionControlsConfig  # likewise
    pairing_ablation: PairingAblationConfig  # likewise
    image_ablation: ImageAblationConfig  # likewise
    distil: DistilConfig  # likewise
    source_shortcut: SourceShortcutConfig  # by its own command
    pad_folds: PadFoldsConfig  # by its own command
    gate_faithfulness: GateFaithfulnessConfig
    attention_faithfulness: AttentionFaithfulnessConfig


CPU = Preset(
    balance=BalanceConfig(),
    synthesize=SynthesizeConfig(),
    audit=AuditConfig(),
    text_baseline=TextBaselineConfig(),
    simclr=SimclrConfig(
        LoopConfig(epochs=5, batch_size=192, learning_rate=2e-3, weight_decay=1e-4),
        size=64,
        pack=112,
        probe_every=1,
    ),
    image_classifier=ImageClassifierConfig(
        LoopConfig(epochs=22, batch_size=96, learning_rate=1.5e-3),
        sizes=((0.5, 96), (0.82, 128), (1.0, 160)),
        pack=192,
        resampling=0.4,
    ),
    text_pretraining=TextPretrainingConfig(
        LoopConfig(epochs=7, batch_size=128, learning_rate=1.5e-3)
    ),
    text_classifier=TextClassifierConfig(
        LoopConfig(epochs=13, batch_size=128, learning_rate=1.5e-3)
    ),
    probe=ProbeConfig(image_size=160, max_train=3000),
    pairing=PairingConfig(image_size=160),
    fusion=FusionConfig(LoopConfig(epochs=4, batch_size=64, learning_rate=5e-4), image_size=160),
    calibrate=CalibrateConfig("cpu"),
    abstention=AbstentionConfig(),
    evaluate=EvaluateConfig(),
    text_ablation=TextAblationConfig(),
    fusion_controls=FusionControlsConfig(),
    pairing_ablation=PairingAblationConfig(),
    image_ablation=ImageAblationConfig(),
    distil=DistilConfig(
        LoopConfig(epochs=5, batch_size=96, learning_rate=3e-4, ema=0.99), size=160, pack=192
    ),
    source_shortcut=SourceShortcutConfig(
        ImageClassifierConfig(
            LoopConfig(epochs=6, batch_size=96, learning_rate=1.5e-3), sizes=((1.0, 64),), pack=96
        )
    ),
    pad_folds=PadFoldsConfig(
        ImageClassifierConfig(
            LoopConfig(epochs=10, batch_size=96, learning_rate=1.5e-3),
            sizes=((0.6, 64), (1.0, 96)),
            pack=112,
            resampling=0.4,
        ),
        tune=ImageClassifierConfig(
            LoopConfig(epochs=8, batch_size=64, learning_rate=5e-4), sizes=((1.0, 96),), pack=112
        ),
    ),
    gate_faithfulness=GateFaithfulnessConfig(),
    attention_faithfulness=AttentionFaithfulnessConfig(),
)

FURTHER = replace(
    CPU,
    text_classifier=TextClassifierConfig(
        LoopConfig(epochs=5, batch_size=128, learning_rate=8e-4, ema=0.99)
    ),
    image_ablation=ImageAblationConfig(steps=390),
    calibrate=CalibrateConfig("further"),
)

GPU = Preset(
    balance=BalanceConfig(),
    synthesize=SynthesizeConfig(),
    audit=AuditConfig(),
    text_baseline=TextBaselineConfig(),
    simclr=SimclrConfig(
        LoopConfig(epochs=200, batch_size=1024, learning_rate=2e-3, weight_decay=1e-4),
        size=160,
        pack=208,
        probe_every=10,
    ),
    image_classifier=ImageClassifierConfig(
        LoopConfig(epochs=100, batch_size=256, learning_rate=2e-3),
        sizes=((0.5, 128), (0.8, 160), (1.0, 224)),
        pack=224,
    ),
    text_pretraining=TextPretrainingConfig(
        LoopConfig(epochs=40, batch_size=128, learning_rate=1e-3)
    ),
    text_classifier=TextClassifierConfig(LoopConfig(epochs=20, batch_size=128, learning_rate=5e-4)),
    probe=ProbeConfig(image_size=224, max_train=100_000),
    pairing=PairingConfig(image_size=224),
    fusion=FusionConfig(LoopConfig(epochs=10, batch_size=128, learning_rate=5e-4), image_size=224),
    calibrate=CalibrateConfig("gpu"),
    abstention=AbstentionConfig(),
    evaluate=EvaluateConfig(),
    text_ablation=TextAblationConfig(),
    fusion_controls=FusionControlsConfig(),
    pairing_ablation=PairingAblationConfig(),
    image_ablation=ImageAblationConfig(steps=6000, size=128, pack=224, batch_size=256, ema=0.999),
    distil=DistilConfig(
        LoopConfig(epochs=40, batch_size=256, learning_rate=5e-4, ema=0.999), size=224, pack=224
    ),
    source_shortcut=SourceShortcutConfig(
        ImageClassifierConfig(
            LoopConfig(epochs=40, batch_size=256, learning_rate=2e-3), sizes=((1.0, 128),), pack=160
        ),
        minutes=600,
    ),
    pad_folds=PadFoldsConfig(
        ImageClassifierConfig(
            LoopConfig(epochs=100, batch_size=256, learning_rate=2e-3),
            sizes=((0.5, 128), (0.8, 160), (1.0, 224)),
            pack=224,
        ),
        tune=ImageClassifierConfig(
            LoopConfig(epochs=30, batch_size=64, learning_rate=5e-4), sizes=((1.0, 224),), pack=224
        ),
        inner=5,
    ),
    gate_faithfulness=GateFaithfulnessConfig(pairs=300),
    attention_faithfulness=AttentionFaithfulnessConfig(photos=200, pairs=200, texts=200, steps=10),
)

_ONE = LoopConfig(epochs=1, batch_size=8, learning_rate=1e-3)
_SMALL = ImageClassifierConfig(replace(_ONE, batch_size=32), sizes=((1.0, 32),), pack=32)
SMOKE = Preset(
    balance=BalanceConfig(cap=10, clusters=3),
    synthesize=SynthesizeConfig(per_condition=8),
    audit=AuditConfig(),
    text_baseline=TextBaselineConfig(ngrams=(1,), strengths=(1.0,), synthetic=(0, 4)),
    text_pretraining=TextPretrainingConfig(_ONE, vocabulary=400, width=48, heads=4),
    simclr=SimclrConfig(_ONE, size=32, pack=64, probe_every=1),
    image_classifier=ImageClassifierConfig(_ONE, sizes=((0.5, 32), (1.0, 64)), pack=64),
    text_classifier=TextClassifierConfig(replace(_ONE, epochs=2), synthetic=4, min_cases=1),
    probe=ProbeConfig(image_size=64, max_iterations=20),
    pairing=PairingConfig(image_size=64, clusters=2),
    fusion=FusionConfig(_ONE, image_size=64, views=1, width=48, heads=4),
    calibrate=CalibrateConfig("smoke"),
    abstention=AbstentionConfig(neighbours=8, directions=4, pictures=10, poor=10),
    evaluate=EvaluateConfig(),
    text_ablation=TextAblationConfig(steps=4),
    fusion_controls=FusionControlsConfig(seeds=(1,), hidden=16, strengths=(0.01, 1.0)),
    pairing_ablation=PairingAblationConfig(),
    image_ablation=ImageAblationConfig(
        steps=1,
        size=32,
        pack=64,
        batch_size=16,
        arms=("balanced softmax", "TrivialAugment", "progressive resizing"),
    ),
    distil=DistilConfig(_ONE, size=32, pack=64),
    source_shortcut=SourceShortcutConfig(
        _SMALL,
        arms=("plain", "all three"),
        left_out=("pad_ufes_20",),
        probe_photos=10,
        min_photos=1,
    ),
    pad_folds=PadFoldsConfig(_SMALL, tune=_SMALL, inner=2),
    gate_faithfulness=GateFaithfulnessConfig(pairs=6, strengths=(0.0, 1.0), kinds=("blur",)),
    attention_faithfulness=AttentionFaithfulnessConfig(
        photos=6, pairs=4, texts=6, steps=2, random_orders=1, random_models=1
    ),
)

PRESETS: dict[str, Preset] = {"smoke": SMOKE, "cpu": CPU, "further": FURTHER, "gpu": GPU}
