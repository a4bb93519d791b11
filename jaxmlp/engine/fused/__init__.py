"""The fused engine: a kernel that trains whole epochs of many networks in one launch, with the weights on chip."""

from jaxmlp.engine.fused.launch import fused_epochs, fused_refusal, load_kernel
from jaxmlp.engine.fused.shares import warps

__all__ = ["fused_epochs", "fused_refusal", "load_kernel", "warps"]
