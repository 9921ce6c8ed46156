"""Policies over the network: openpi's WebSocket protocol and the Open Inference Protocol, without torch.

`sim2real.server.app` serves; it needs the extra `serve`. Importing this package needs nothing.
"""
