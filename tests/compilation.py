"""How the tests compile, in their own process and in the programs that they start."""


def xla_flags(devices: int = 1) -> str:
    """Value of XLA_FLAGS: the older emitters compile in two thirds of the time, into a third of the memory mappings."""
    return f"--xla_cpu_use_fusion_emitters=false --xla_force_host_platform_device_count={devices}"
