"""Scenes, nuclei and photos, embedded under `assets/` with their licences: no network is needed."""
