"""Many networks in one launch: the fused engine, a kernel that trains whole epochs with the weights on chip."""

from jaxmlp.engine.launch import fused_epochs, fused_refusal, load_kernel

__all__ = ["fused_epochs", "fused_refusal", "load_kernel"]
