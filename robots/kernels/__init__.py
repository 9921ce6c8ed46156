"""Kernels of NVIDIA Warp on torch tensors."""
