"""`hgrpo watch`: policies flown in real time on a page with a 3D scene, or into a film."""
