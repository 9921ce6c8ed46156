"""Export of policies as ONNX, as C and as a Crazyflie app."""
