"""The variants of the network, one file each: `variant.py` says what each declares, `registry.py` names them."""
