"""No module outside models/variants/ knows a variant's name: they ask what the variant declares."""

import ast
from pathlib import Path

import pytest

from spotrust_jax.config import ModelConfig
from spotrust_jax.errors import InputError
from spotrust_jax.models.variants.registry import VARIANTS, variant_of

REPOSITORY = Path(__file__).parents[2]
VARIANT_FOLDER = REPOSITORY / "spotrust_jax" / "models" / "variants"


def _modules():
    files = [
        path
        for folder in ("spotrust_jax", "launch", "experiments", "configs")
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
    ]
    return [path for path in files if VARIANT_FOLDER not in path.parents]


def _compared(node):
    """The expressions that a node compares something with, or chooses by."""
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    # The kinds of losses have names of their own, one of which is a variant's as well.
    if isinstance(node, ast.Match) and not ast.unparse(node.subject).endswith(".kind"):
        return [case.pattern for case in node.cases]
    # A table by name; what only adds an entry to another dictionary is a tree of parameters.
    if isinstance(node, ast.Dict) and None not in node.keys:
        return list(node.keys)
    return []


def _names_in(node):
    return {leaf.value for leaf in ast.walk(node) if isinstance(leaf, ast.Constant) and leaf.value in VARIANTS}


def _comparisons(source):
    """Lines on which something is compared with a variant's name, and that name."""
    return sorted(
        (node.lineno, name)
        for node in ast.walk(ast.parse(source))
        for expression in _compared(node)
        for name in _names_in(expression)
    )


@pytest.mark.parametrize(
    "source",
    [
        'model.variant == "dropout"',
        'model.variant not in ("laplace", "logit_noise")',
        'match model.variant:\n    case "dropout" | "variational": pass',
        '{"laplace": fit, "other": fit}[kind]',
    ],
)
def test_comparisons_are_found(source):
    assert _comparisons(source)


def test_no_module_compares_with_the_name_of_a_variant():
    found = {str(path.relative_to(REPOSITORY)): _comparisons(path.read_text()) for path in _modules()}
    assert len(found) > 100
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("settings", "noise", "coherent"),
    [
        ({"variant": "deterministic"}, "none", {}),
        ({"variant": "variational"}, "cell", {"estimator": "kernel"}),
        ({"variant": "variational", "estimator": "kernel"}, "weights", {}),
        ({"variant": "variational", "estimator": "flipout"}, "weights", {"estimator": "kernel"}),
        ({"variant": "dropout"}, "cell", None),
        ({"variant": "dropout", "dropout_mask": "channel"}, "image", {}),
        ({"variant": "laplace"}, "image", {}),
        ({"variant": "logit_noise"}, "none", {}),
    ],
)
def test_what_noise_shares_and_how_it_holds_all_over_an_image(settings, noise, coherent):
    variant = variant_of(ModelConfig(**settings))
    assert (variant.noise, variant.stochastic) == (noise, noise != "none")
    assert variant.coherent == (None if coherent is None else ModelConfig(**{**settings, **coherent}))


def test_names_and_settings_that_no_variant_has():
    with pytest.raises(InputError, match=r"model\.variant is 'bayesian': choose one of 'deterministic', 'variational'"):
        variant_of(ModelConfig("bayesian"))
    with pytest.raises(InputError, match=r"model\.final_kernel is 3: variant laplace is for 1 alone"):
        variant_of(ModelConfig("laplace", final_kernel=3))
