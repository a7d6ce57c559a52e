"""The plateau schedule against PyTorch's ReduceLROnPlateau on random sequences, and the early stop by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.config import PlateauConfig
from spotrust_jax.training.plateau import advance, initial_schedule

SEQUENCES, LENGTH, RATE = 100, 60, 0.01


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
    rows = []
    for sequence in metrics:
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=RATE)
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
        for metric in sequence:
            scheduler.step(float(metric))
            rates.append(optimizer.param_groups[0]["lr"])
        rows.append(rates)
    return np.array(rows)


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
@pytest.mark.parametrize(("mode", "threshold"), [("relative", 0.1), ("relative", 0.01), ("absolute", 0.02)])
@pytest.mark.parametrize("patience", [0, 2])
def test_equals_torch(metric, mode, threshold, patience):
    config = PlateauConfig(metric, 0.5, patience, threshold, mode, minimum_rate=1e-4, stop_after=0)
    rng = np.random.default_rng(0)
    rising = np.linspace(0.3, 0.9, LENGTH) + rng.normal(0, 0.1, (SEQUENCES, LENGTH))
    metrics = np.clip(rising if metric == "accuracy" else 1.3 - rising, 0.05, None).astype(np.float32)
    np.testing.assert_allclose(_rates(config, metrics), _torch_rates(config, metrics), rtol=1e-5)


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
