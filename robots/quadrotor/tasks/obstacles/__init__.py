"""Flight among columns and spheres."""
