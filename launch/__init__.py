"""Programs: flags in, library calls, exit codes. Installed as `spotrust_jax.launch`."""
