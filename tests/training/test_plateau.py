"""The plateau schedule against PyTorch's ReduceLROnPlateau on random sequences, and the early stop by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.config import PlateauConfig
from spotrust_jax.training.plateau import advance, initial_schedule

# Of each of the four ways to call something an improvement.
SEQUENCES, LENGTH, RATE = 1000, 40, 0.01


def _rates(config: PlateauConfig, metrics: np.ndarray) -> np.ndarray:
    """Learning rate after each epoch of each sequence."""

    def run(sequence):
        def epoch(schedule, metric):
            schedule = advance(schedule, metric, config, RATE)
            return schedule, schedule.reduction.scale * RATE

        return jax.lax.scan(epoch, initial_schedule(config, RATE), sequence)[1]

    return np.asarray(jax.jit(jax.vmap(run))(jnp.asarray(metrics, jnp.float32)))


def _torch_rates(config: PlateauConfig, metrics: np.ndarray) -> np.ndarray:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=RATE)
    rows = []
    for sequence in metrics:
        optimizer.param_groups[0]["lr"] = RATE
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            mode="min" if config.metric == "loss" else "max",
            factor=config.factor,
            patience=config.patience,
            threshold=config.threshold,
            threshold_mode={"relative": "rel", "absolute": "abs"}[config.threshold_mode],
            min_lr=config.minimum_rate,
        )
        rates = []
        for metric in sequence.tolist():
            scheduler.step(metric)
            rates.append(optimizer.param_groups[0]["lr"])
        rows.append(rates)
    return np.array(rows)


def _random_scores(count: int) -> np.ndarray:
    """Scores in [0, 1]: rising with noise, many of them 0 for a while, a third in steps so that they tie."""
    rng = np.random.default_rng(0)
    start, noise = rng.uniform(-0.5, 0.6, (count, 1)), rng.uniform(0.0, 0.2, (count, 1))
    scores = start + (0.95 - start) * np.linspace(0, 1, LENGTH) ** rng.uniform(0.2, 3, (count, 1))
    scores += noise * rng.normal(size=scores.shape)
    scores[::3] = np.round(scores[::3] * 32) / 32
    return np.clip(scores, 0, 1).astype(np.float32)


# Factor, patience, threshold and minimum rate, over which the sequences are divided.
PARAMETERS = [(0.9, 2, 0.1, 1e-4), (0.5, 0, 0.01, 1e-4), (0.1, 5, 0.02, 0.0), (0.6, 1, 0.003, 2e-3)]


@pytest.mark.parametrize("mode", ["relative", "absolute"])
@pytest.mark.parametrize("metric", ["f1_corrosion", "loss"])
def test_equals_torch(metric, mode):
    scores = _random_scores(SEQUENCES)
    # Losses stay above 0, where a share of the best means something.
    metrics = scores if metric != "loss" else np.float32(1.05) - scores
    for part, (factor, patience, threshold, minimum) in enumerate(PARAMETERS):
        config = PlateauConfig(metric, factor, patience, threshold, mode, minimum_rate=minimum, stop_after=0)
        sequences = metrics[part :: len(PARAMETERS)]
        np.testing.assert_allclose(_rates(config, sequences), _torch_rates(config, sequences), rtol=1e-5)


def test_above_ninety_one_per_cent_the_paper_schedule_is_a_fixed_decay():
    rates = _rates(PlateauConfig(), np.linspace(0.92, 1.0, 12)[None])[0]
    # The first epoch sets the best; then every third one cuts by 0.9.
    np.testing.assert_allclose(rates / RATE, [1, 1, 1, *[0.9] * 3, *[0.81] * 3, *[0.729] * 3], rtol=1e-5)


def test_stops_five_idle_epochs_after_the_minimum():
    config = PlateauConfig(factor=0.1, patience=0, minimum_rate=RATE / 10)
    schedule, stopped = initial_schedule(config, RATE), []
    for metric in [0.95, 0.95, 0.96, *[0.9] * 6]:
        schedule = advance(schedule, jnp.asarray(metric), config, RATE)
        stopped.append(bool(schedule.stopped))
    # Cut to the minimum at the second epoch; the third improves; the five after it do not.
    assert stopped == [False] * 7 + [True] * 2
