"""Script of a worker process, which loads no torch:

python start_worker.py aviary NAME ACTION DRONES
python start_worker.py vehicle CONTROL_HZ PHYSICS_HZ
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).resolve().parent))  # or `import options` would find a module of this folder
    from robots.pybullet_drones.worker import main

    main()
