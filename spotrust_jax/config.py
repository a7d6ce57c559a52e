"""Every setting of a run: its type, its range, its default, which is the paper's, and its meaning beside it.

`fields.py` checks ranges, reads configurations and describes them; `training/checks.py` says which settings go
together. docs/configuration.md and the help of the programs are made from this module.
"""

import dataclasses
from typing import Annotated, Any, Literal

from ml_collections import ConfigDict

from spotrust_jax.fields import (
    LARGEST_INT,
    BelowOne,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Probability,
    Range,
    Ranged,
    to_dict,
)

Bounding = Literal["smooth", "clamp"]
"""How a range is kept to: smoothly, by a hyperbolic tangent, or by a clamp."""

DropoutMask = Literal["element", "channel"]
"""What dropout sets to zero: elements, or channels all over an image."""

ValidationMetric = Literal[
    "average_precision", "f1_best_threshold", "f1_corrosion", "iou_corrosion", "accuracy", "loss"
]
"""A score of the validation split, over all its scored pixels: average precision and the best F1 over all thresholds,
F1, intersection over union and accuracy at the uncalibrated probability 0.5, and the loss, which alone is better where
it is lower."""

# Three numbers, or none of them where the data set's own are meant.
Channels = tuple[float, float, float] | tuple[()]
Mean = Annotated[Channels, Range(0, 1, what="three numbers")]
Std = Annotated[Channels, Range(0, 1, above=True, what="three numbers")]


# Those of members lie a million apart, and all are of 32 bits.
Seed = Annotated[int, Range(0, LARGEST_INT, what="a whole number")]


@dataclasses.dataclass(frozen=True)
class ModelConfig(Ranged, section="model"):
    """Which network."""

    variant: str = "variational"
    """Name of a variant: "deterministic", "variational", "dropout" or, made of a trained deterministic network by
    `spotrust last_layer`, "laplace", which draws weights of the last layer, or "logit_noise", whose logit has noise of
    a variance that it predicts."""

    preset: str = "w48"
    """Size of the HRNetV2: "w18_small_v1", "w18_small_v2", "w18", "w32" or "w48"."""

    width: Annotated[int, Range(0, 4096, what="channels")] = 0
    """Channels of the finest branch; 0 takes the preset's."""

    final_kernel: Annotated[int, Range(1, 3, what="pixels")] = 1
    """Side of the head's last convolution, 1 or 3."""

    estimator: Literal["local_reparameterization", "kernel", "flipout"] = "local_reparameterization"
    """"variational": "local_reparameterization" draws activations, as the paper's code does, "kernel" draws kernels
    once a sample, as the paper's text says, and "flipout" changes their signs for each image. (Kingma et al. 2015;
    Blundell et al. 2015; Wen et al. 2018.)"""

    prior_std: PositiveFloat = 0.1
    """"variational": standard deviation of the weights' normal prior, whose mean is 0."""

    dropout_rate: BelowOne = 0.5
    """"dropout": probability that an element is set to zero."""

    dropout_mask: DropoutMask = "element"
    """"dropout": whether elements are dropped, as in the paper, or whole channels of an image."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of computation."""


@dataclasses.dataclass(frozen=True)
class DataConfig(Ranged, section="data"):
    """Where the labelled photographs come from, and how they reach the network."""

    source: Literal["folder", "scenes"] = "folder"
    """"folder": photographs under `path`. "scenes": the synthetic scenes of the package."""

    path: str = ""
    """A folder with images/, masks/ and, optionally, splits.csv, or one that `spotrust prepare_data` wrote for tfds."""

    fold: Annotated[int, Range(-1, LARGEST_INT, what="a whole number")] = -1
    """Number of the fold that validates while the others train; -1 where the data set has no folds."""

    fold_of_member: bool = False
    """Whether member m of an ensemble validates on fold m and trains on all others: cross-validation as an ensemble."""

    image_size: Annotated[int, Range(32, 8192, what="pixels")] = 640
    """Long side in pixels at which photographs are seen in training, validation and prediction, in their own
    proportions. It is rounded to a multiple of 32."""

    site_power: Annotated[float, Range(0, 1)] = 1.0
    """Photographs of a site (a column of splits.csv) that has n of them are drawn in proportion to n ** site_power: 1
    draws every photograph equally often, 0 every site."""

    scenes_version: Literal["demo-1", "survey-1"] = "demo-1"
    """Which scenes: the demo's small ones, or those that look like surveys of steel structures."""

    scenes: Annotated[tuple[int, int], Range(1, what="whole numbers")] = (256, 64)
    """Numbers of scenes in the training and the validation split."""

    mean: Mean = ()
    """Channel means that images in [0, 1] are normalised by; () takes those of the training split. (The paper's
    photographs have 0.5993, 0.5458, 0.5339.)"""

    std: Std = ()
    """Channel standard deviations that images in [0, 1] are normalised by; () takes those of the training split. (The
    paper's photographs have 0.1923, 0.2072, 0.2216.)"""

    num_workers: NonNegativeInt = 0
    """Processes that read training batches ahead; 0 leaves it to threads. The batches do not depend on it."""


@dataclasses.dataclass(frozen=True)
class AugmentationConfig(Ranged, section="augmentation"):
    """Random changes to training images; each applies to the mask as well where it moves pixels."""

    crop_size: Annotated[tuple[int, int], Range(32, 8192, what="pixels")] = (480, 480)
    """Height and width in pixels that crops are resized to."""

    scale: Annotated[tuple[float, float], Range(0, 1, above=True, rising=True)] = (0.5, 1.0)
    """Smallest and largest area of a crop, as a fraction of the photograph's."""

    ratio: Annotated[tuple[float, float], Range(0, above=True, rising=True)] = (0.75, 4 / 3)
    """Smallest and largest aspect ratio of a crop, as a multiple of that of `crop_size`: by this much it is stretched.
    A crop that does not fit into the photograph shrinks as a whole."""

    flip: Probability = 0.5
    """Probability of each of the two flips."""

    turns: Probability = 0.0
    """Probability of a rotation by 90, 180 or 270 degrees (by 180 where the crop is not square)."""

    brightness: Annotated[float, Range(0, 1)] = 0.3
    """Largest relative change of the brightness."""

    contrast: Annotated[float, Range(0, 1)] = 0.3
    """Largest relative change of the contrast."""

    saturation: Annotated[float, Range(0, 1)] = 0.2
    """Largest relative change of the saturation."""

    hue: Annotated[float, Range(0, 0.5)] = 0.05
    """Largest shift of the hue, as a fraction of the hue circle."""

    greyscale: Probability = 0.1
    """Probability that all colour is removed."""

    blur: Probability = 0.3
    """Probability of a Gaussian blur."""

    blur_sigma: Annotated[tuple[float, float], Range(0, 32, above=True, rising=True)] = (0.1, 2.0)
    """Smallest and largest standard deviation of the blur, in pixels."""


LossKind = Literal["attenuated", "dice", "combo", "focal", "logit_noise", "cross_entropy"]
"""Losses that training may minimise; `LossConfig.kind` says what they are."""


@dataclasses.dataclass(frozen=True)
class LossConfig(Ranged, section="loss"):
    """What is minimised: a data loss and, for the variational network, its divergence from the prior.

    In all kinds but "logit_noise" the log variance is learnt by attenuation of a loss for each pixel, whose expected
    logarithm it becomes. In "dice" and "cross_entropy" nothing but the log variance learns from the attenuated loss.
    """

    kind: LossKind = "attenuated"
    """"attenuated": cross-entropy (the paper's). "focal": the same, weighted towards pixels that are hard to classify.
    "combo": "attenuated" plus Dice. "dice": Dice alone, while the log variance learns from the cross-entropy.
    "logit_noise": cross-entropy of the probability averaged over noise on the logits, whose log variance is the
    network's second output. "cross_entropy": cross-entropy plus Dice, not attenuated. (Nash et al. 2022, Eqn 1.)"""

    positive_weight: PositiveFloat = 7.035
    """Weight of corroded pixels; w raises the optimal logit by log w, so uncalibrated probabilities are too high by
    that much. Dice does not use it: it needs no balance of classes. (Nash et al. 2022.)"""

    log_variance_bound: Annotated[float, Range(0, 80, above=True)] = 10.0
    """Largest magnitude of the log variance in the loss."""

    log_variance_bounding: Bounding = "smooth"
    """How the log variance keeps to its bound: smoothly, by a hyperbolic tangent, or by a clamp, as in the paper's
    code."""

    dice_weight: NonNegativeFloat = 1.0
    """"combo" and "cross_entropy": weight of the Dice loss against the cross-entropy. (Taghanaki et al. 2019; not in
    the paper.)"""

    focal_gamma: NonNegativeFloat = 2.0
    """"focal": exponent of the weight (1 - p of the true class); 0 is "attenuated". (Lin et al. 2017; not in the
    paper.)"""

    noise_samples: PositiveInt = 10
    """"logit_noise": samples that the probability is averaged over. (Kendall and Gal 2017, Eqn 12; not in the
    paper.)"""

    kl_weight: NonNegativeFloat = 1.0
    """Weight of the divergence from the prior; 1 is the evidence lower bound. (Blundell et al. 2015; the paper's code
    has 0.1 times a mean.)"""


@dataclasses.dataclass(frozen=True)
class OptimizerConfig(Ranged, section="optimizer"):
    """How gradients become changes of the weights."""

    kind: Literal["adam", "adamw", "sgd"] = "adam"
    """Which optimizer. (Kingma and Ba 2015; Loshchilov and Hutter 2019.)"""

    learning_rate: PositiveFloat = 0.003
    """Initial learning rate; with warm-up, the rate after it. (Nash et al. 2022.)"""

    eps: PositiveFloat = 1e-8
    """"adam" and "adamw": added to the root of the second moment. (PyTorch's default.)"""

    weight_decay: NonNegativeFloat = 0.01
    """"adamw": decay of the kernels of plain convolutions; norms, biases and Bayesian layers, whose prior is their
    decay, have none. (PyTorch's default; not in the paper.)"""

    momentum: BelowOne = 0.0
    """"sgd": fraction of the last update that is repeated. (Not in the paper.)"""

    ema_decay: BelowOne = 0.0
    """Decay of the moving average of the weights, such as 0.999; 0 keeps no average. Validation and `best` use the
    average. (Polyak and Juditsky 1992.)"""


@dataclasses.dataclass(frozen=True)
class ScheduleConfig(Ranged, section="schedule"):
    """How the learning rate changes from step to step."""

    kind: Literal["plateau", "cosine"] = "plateau"
    """"plateau": cut when the validation metric stops improving (section plateau). "cosine": half a cosine from the
    initial rate to the minimum over all epochs, without an early stop. (Nash et al. 2022; Loshchilov and Hutter
    2017.)"""

    warmup_epochs: NonNegativeFloat = 0.0
    """Epochs at the start over which the rate rises from 0, in a straight line. (Goyal et al. 2017.)"""

    minimum_rate: NonNegativeFloat = 0.0
    """"cosine": learning rate at the end. (Not in the paper.)"""


@dataclasses.dataclass(frozen=True)
class PlateauConfig(Ranged, section="plateau"):
    """Learning rate cut when the validation metric stops improving, and the early stop, of `schedule.kind` "plateau".

    The defaults are those of Nash et al. 2022.
    """

    metric: ValidationMetric = "accuracy"
    """Metric of the validation split; higher is better, except for "loss"."""

    factor: Annotated[float, Range(0, 1, above=True, below=True)] = 0.9
    """Factor of the cut."""

    patience: NonNegativeInt = 2
    """Epochs without improvement before a cut."""

    threshold: NonNegativeFloat = 0.1
    """How much better than the best value counts as an improvement."""

    threshold_mode: Literal["relative", "absolute"] = "relative"
    """Whether `threshold` is relative to the best value or absolute."""

    minimum_rate: NonNegativeFloat = 1e-4
    """Lowest learning rate."""

    stop_after: NonNegativeInt = 5
    """Stop after this many epochs at the lowest rate without any improvement; 0 never stops early."""


@dataclasses.dataclass(frozen=True)
class FineTuningConfig(Ranged, section="fine_tuning"):
    """Weights that training starts from."""

    checkpoint: str = ""
    """Model whose backbone is taken: name, folder such as RUN/best, or .safetensors file; "" starts from random
    weights. From a model of one member all members start alike, from an ensemble each from its own."""

    head: bool = False
    """Whether the head is taken as well; otherwise it starts from random weights."""

    bayesian: bool = False
    """Whether the Bayesian layers are taken as well."""

    aleatoric: bool = False
    """Whether the aleatoric network is taken as well."""

    prior: Literal["zero", "checkpoint"] = "zero"
    """Mean of the variational layers' prior: "zero", or "checkpoint" for the checkpoint's posterior means."""

    backbone_rate: PositiveFloat = 1.0
    """Learning rate of the backbone as a multiple of that of the other parts."""

    freeze_epochs: NonNegativeInt = 0
    """Epochs at the start in which the backbone, its batch statistics and its moments stay as they are."""


@dataclasses.dataclass(frozen=True)
class RunConfig(Ranged, section="run"):
    """What a run keeps and shows on its way; none of it changes the weights."""

    checkpoint_steps: NonNegativeInt = 500
    """Steps after which the state is saved within an epoch as well; 0 saves at the end of epochs only."""

    save_epochs: NonNegativeInt = 1
    """Epochs after which the state is saved; 0 saves at the end of the run alone, where it always is."""

    keep_epochs: NonNegativeInt = 0
    """Epochs after which the model is kept for good as epoch_NUMBER in the run directory, beside the best; 0 for
    none."""

    panel_epochs: NonNegativeInt = 5
    """Epochs after which TensorBoard gets pictures of validation photographs with their maps; 0 for none."""


@dataclasses.dataclass(frozen=True)
class TrainConfig(Ranged):
    """One training run."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    plateau: PlateauConfig = PlateauConfig()
    fine_tuning: FineTuningConfig = FineTuningConfig()
    run: RunConfig = RunConfig()

    members: Annotated[int, Range(1, 1000, what="a whole number")] = 1
    """Networks trained from different initialisations; more than one make an ensemble."""

    batch_size: PositiveInt = 4
    """Examples of one step, over all devices, for each member."""

    accumulation: PositiveInt = 1
    """Pieces that each device's share of a batch goes through the network in, one after the other, to save memory."""

    epochs: PositiveInt = 200
    """Epochs of the run, unless the plateau rule stops it early."""

    validation_epochs: NonNegativeInt = 1
    """Epochs after which the networks are validated; 0 for the last one alone. The plateau rule needs 1."""

    best_metric: ValidationMetric = "average_precision"
    """Score of the validation split by which each member's best model is chosen; of equals the later one is. (Not in
    the paper.)"""

    validation_samples: PositiveInt = 4
    """Monte-Carlo samples for each validation image."""

    seed: Seed = 0
    """Seed of all random numbers of the run."""

    rematerialize: bool = False
    """Compute residual blocks again in the backward pass: less memory, more time."""

    frozen_norm: bool = False
    """Batch norm by the running statistics, which stay as they are: for batches of one image."""


@dataclasses.dataclass(frozen=True)
class UnlabelledConfig(Ranged, section="data"):
    """Photographs without labels, and how they are kept."""

    path: str = ""
    """Folder of photographs at any depth, or several separated by commas; of data sets with images/ and splits.csv only
    the training split is taken."""

    scenes: NonNegativeInt = 0
    """Synthetic survey scenes beside them."""

    long_side: Annotated[int, Range(32, 8192, what="pixels")] = 512
    """Photographs with a longer side, in pixels, are made smaller when they are read."""

    held_out: Annotated[float, Range(0, 1, above=True, below=True)] = 0.05
    """Fraction of the photographs that is never trained on, on which the loss is measured."""

    mean: Mean = ()
    """Channel means that images in [0, 1] are normalised by; () takes those of the photographs."""

    std: Std = ()
    """Channel standard deviations that images in [0, 1] are normalised by; () takes those of the photographs."""


@dataclasses.dataclass(frozen=True)
class PretrainConfig(Ranged):
    """Pretraining: distillation of a teacher's features into the backbone, on photographs without labels.

    Only the backbone of the model is trained; the other parts are in the checkpoint with their random values. Crops
    keep their proportions and show from a tenth of a photograph up to as much of it as they can.
    """

    model: ModelConfig = ModelConfig("deterministic", "w18_small_v2")
    data: UnlabelledConfig = UnlabelledConfig()
    augmentation: AugmentationConfig = AugmentationConfig((256, 256), scale=(0.1, 1.0), ratio=(1.0, 1.0))

    teacher: str = ""
    """File that `spotrust pretrain --save_teacher` wrote; "" takes the weights of the installed package."""

    batch_size: PositiveInt = 64
    """Crops of one step, over all devices."""

    steps: PositiveInt = 3000
    """Steps of the run."""

    learning_rate: PositiveFloat = 2e-3
    """Highest learning rate, of AdamW; it falls to 0 in half a cosine."""

    warmup_steps: NonNegativeInt = 100
    """Steps at the start over which the rate rises to the highest."""

    weight_decay: NonNegativeFloat = 0.05
    """Weight decay, of AdamW."""

    evaluation_steps: PositiveInt = 250
    """Steps after which the held-out loss is measured and the state is saved."""

    seed: Seed = 0
    """Seed of all random numbers of the run."""


def paper_config() -> Any:
    """All defaults as a `ConfigDict`, for a config file to change and for `--config.a.b=value` to override.

    Typed as anything, since a type checker cannot know its fields.
    """
    return ConfigDict(to_dict(TrainConfig()))


def known(channels: Channels) -> tuple[float, float, float]:
    """Channel statistics that have been given or measured; a ValueError before that."""
    if not channels:
        raise ValueError("the channel statistics are not measured yet")
    return channels
