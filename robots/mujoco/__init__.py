"""MuJoCo robots: the Gymnasium v5 tasks as simulators that are stepped and branched natively."""
