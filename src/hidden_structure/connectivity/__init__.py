"""Lines and planes between networks: spawned or matched pairs, and REPAIR."""
