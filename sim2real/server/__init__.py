"""The policy server: openpi's WebSocket protocol and the Open Inference Protocol, without torch.

`sim2real.server.app` needs the extra `serve`. This package imports nothing.
"""
