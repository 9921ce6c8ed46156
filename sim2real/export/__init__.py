"""Policies as ONNX, as C and as a Crazyflie app."""
