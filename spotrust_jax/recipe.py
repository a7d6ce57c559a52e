"""The sections of a configuration that say what is minimised, and how: losses, optimiser, schedules, start.

The defaults are the paper's; docs/recipes.md has them in one table, with their sources.
"""

import dataclasses
from typing import Annotated, Literal

from spotrust_jax.errors import InputError
from spotrust_jax.losses import Bounding
from spotrust_jax.ranges import BelowOne, Count, NotNegative, Positive, Range, Ranged, Several

Metric = Literal["average_precision", "f1_best_threshold", "f1_corrosion", "iou_corrosion", "accuracy", "loss"]
"""A score of the validation split, over all its scored pixels: average precision and the best F1 over all thresholds,
F1, intersection over union and accuracy at the raw probability one half, and the loss, which alone is to be low."""


@dataclasses.dataclass(frozen=True)
class LossConfig(Ranged, section="loss"):
    """What is minimised: a data loss and, for the variational network, its divergence from the prior.

    In all kinds but "logit_noise" the log variance is learnt by attenuation of a loss for each pixel, whose expected
    logarithm it becomes. In "dice" and "cross_entropy" nothing but the log variance learns from the attenuated loss.
    """

    # "attenuated": cross-entropy (the paper's); "focal": the same with hard pixels weighing more; "combo": "attenuated"
    # plus Dice; "dice": Dice alone, while the log variance learns from the cross-entropy; "logit_noise": cross-entropy
    # of the probability averaged over noise on the logits, whose log variance is the network's second output;
    # "cross_entropy": cross-entropy plus Dice, not attenuated.
    kind: Literal["attenuated", "dice", "combo", "focal", "logit_noise", "cross_entropy"] = "attenuated"
    # Weight of corroded pixels; w raises the optimal logit by log w, so raw probabilities are too high by that much.
    # Dice, which needs no balance of classes, does without it.
    positive_weight: Positive = 7.035
    # Largest magnitude of the log variance in the loss, and whether it is reached smoothly or by a clamp.
    log_variance_bound: Annotated[float, Range(0, 80, above=True)] = 10.0
    log_variance_bounding: Bounding = "smooth"
    # "combo" and "cross_entropy": weight of the Dice loss against the cross-entropy.
    dice_weight: NotNegative = 1.0
    # "focal": exponent of the weight (1 - p of the true class); 0 is "attenuated".
    focal_gamma: NotNegative = 2.0
    # "logit_noise": draws that the probability is averaged over.
    noise_samples: Count = 10
    # Tempering of the KL term; 1 is the evidence lower bound.
    kl_weight: NotNegative = 1.0


@dataclasses.dataclass(frozen=True)
class OptimizerConfig(Ranged, section="optimizer"):
    """How gradients become changes of the weights."""

    kind: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: Positive = 0.003
    # "adam" and "adamw": added to the root of the second moment.
    eps: Positive = 1e-8
    # "adamw": decay of the kernels of plain convolutions; norms, biases and Bayesian layers have none.
    weight_decay: NotNegative = 0.01
    # "sgd": share of the last update that is repeated.
    momentum: BelowOne = 0.0
    # Share that the moving average of the weights keeps at each step, such as 0.999; 0 keeps no average. Validation and
    # `best` use the average.
    ema_decay: BelowOne = 0.0


@dataclasses.dataclass(frozen=True)
class ScheduleConfig(Ranged, section="schedule"):
    """How the learning rate changes from step to step."""

    # "plateau": cut when the validation metric stops improving (section plateau); "cosine": half a cosine from the
    # initial rate to the minimum over all epochs, without an early stop.
    kind: Literal["plateau", "cosine"] = "plateau"
    # Epochs at the start over which the rate rises from 0, in a straight line.
    warmup_epochs: NotNegative = 0.0
    # "cosine": rate at the end.
    minimum_rate: NotNegative = 0.0


@dataclasses.dataclass(frozen=True)
class PlateauConfig(Ranged, section="plateau"):
    """Learning rate cut when the validation metric stops improving, and the early stop; `schedule.kind` "plateau"."""

    # Metric of the validation split; higher is better, but for "loss".
    metric: Metric = "accuracy"
    factor: Annotated[float, Range(0, 1, above=True, below=True)] = 0.9
    # Epochs without improvement that are let pass before a cut.
    patience: Several = 2
    # An improvement is one by this share of the best value ("relative") or by this much ("absolute").
    threshold: NotNegative = 0.1
    threshold_mode: Literal["relative", "absolute"] = "relative"
    minimum_rate: NotNegative = 1e-4
    # Stop after this many epochs at the minimum rate without any improvement; 0 never stops early.
    stop_after: Several = 5


@dataclasses.dataclass(frozen=True)
class FineTuningConfig(Ranged, section="fine_tuning"):
    """Weights that training starts from."""

    # Model whose backbone is taken: name, folder such as RUN/best, or .safetensors file; "" starts from random weights.
    # With one member all members start from it, with several each from its own.
    checkpoint: str = ""
    # Whether these parts are taken as well; the others start from random weights.
    head: bool = False
    bayesian: bool = False
    aleatoric: bool = False
    # Mean of the variational layers' prior: "zero", or "checkpoint" for the checkpoint's posterior means.
    prior: Literal["zero", "checkpoint"] = "zero"
    # Learning rate of the backbone as a multiple of the other parts'.
    backbone_rate: Positive = 1.0
    # Epochs at the start in which the backbone, its batch statistics and its moments stay as they are.
    freeze_epochs: Several = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        asked = [name for name in ("head", "bayesian", "aleatoric", "freeze_epochs") if getattr(self, name)]
        asked += ["prior"] if self.prior == "checkpoint" else []
        if asked and not self.checkpoint:
            raise InputError(f"fine_tuning.{asked[0]} is set and fine_tuning.checkpoint is empty: give its folder")
