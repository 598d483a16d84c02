"""Every stage's settings for three budgets.

* smoke: seconds a stage on made data, to see that the path is whole.
* cpu: two cores, about 100 minutes by the sum of its stages. The shipped checkpoint has the image
  encoder of an earlier version of it and the text stages of this one (docs/training-log.md).
* gpu: one GPU or more, a few hours. Starts on CPU with made data; never yet run on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from training.audit import AuditConfig
from training.balance import BalanceConfig
from training.calibrate import CalibrateConfig
from training.evaluate import EvaluateConfig
from training.fusion import FusionConfig
from training.image_classifier import ImageClassifierConfig
from training.loop import LoopConfig
from training.pairing import PairingConfig
from training.probe import ProbeConfig
from training.simclr import SimclrConfig
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
    evaluate: EvaluateConfig
    text_ablation: TextAblationConfig  # by its own command, not by training.reproduce


CPU = Preset(
    balance=BalanceConfig(),
    synthesize=SynthesizeConfig(),
    audit=AuditConfig(),
    text_baseline=TextBaselineConfig(),
    simclr=SimclrConfig(
        LoopConfig(epochs=5, batch_size=192, learning_rate=2e-3, weight_decay=1e-4),
        size=64,
        pack=112,
    ),
    image_classifier=ImageClassifierConfig(
        LoopConfig(epochs=26, batch_size=96, learning_rate=1.5e-3, ema=0.999),
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
    probe=ProbeConfig(image_size=128, max_train=3000),
    pairing=PairingConfig(image_size=128),
    fusion=FusionConfig(LoopConfig(epochs=4, batch_size=64, learning_rate=5e-4), image_size=128),
    calibrate=CalibrateConfig("cpu"),
    evaluate=EvaluateConfig(),
    text_ablation=TextAblationConfig(),
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
    evaluate=EvaluateConfig(),
    text_ablation=TextAblationConfig(),
)

_ONE = LoopConfig(epochs=1, batch_size=8, learning_rate=1e-3)
SMOKE = Preset(
    balance=BalanceConfig(cap=10, clusters=3),
    synthesize=SynthesizeConfig(per_condition=8),
    audit=AuditConfig(),
    text_baseline=TextBaselineConfig(ngrams=(1,), strengths=(1.0,), synthetic=(0, 4)),
    text_pretraining=TextPretrainingConfig(_ONE, vocabulary=400, width=48, heads=4),
    simclr=SimclrConfig(_ONE, size=32, pack=64),
    image_classifier=ImageClassifierConfig(_ONE, sizes=((0.5, 32), (1.0, 64)), pack=64),
    text_classifier=TextClassifierConfig(replace(_ONE, epochs=2), synthetic=4, min_cases=1),
    probe=ProbeConfig(image_size=64, max_iterations=20),
    pairing=PairingConfig(image_size=64, clusters=2),
    fusion=FusionConfig(_ONE, image_size=64, width=48, heads=4),
    calibrate=CalibrateConfig("smoke"),
    evaluate=EvaluateConfig(),
    text_ablation=TextAblationConfig(steps=4),
)

PRESETS = {"smoke": SMOKE, "cpu": CPU, "gpu": GPU}
