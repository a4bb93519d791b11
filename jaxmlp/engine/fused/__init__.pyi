from .launch import fused_epochs as fused_epochs
from .launch import fused_refusal as fused_refusal
from .launch import load_kernel as load_kernel
from .shares import warps as warps
