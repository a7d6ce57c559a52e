"""How the tests compile, in their own process and in the programs that they start."""

import importlib.metadata

# The older emitters compile in two thirds of the time, into a third of the memory mappings; jax 0.11 lacks them.
_OLDER_EMITTERS = "--xla_cpu_use_fusion_emitters=false " * importlib.metadata.version("jax").startswith("0.10.")


def xla_flags(devices: int = 1) -> str:
    """Value of XLA_FLAGS."""
    return f"{_OLDER_EMITTERS}--xla_force_host_platform_device_count={devices}"
