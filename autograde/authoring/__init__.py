"""For contributors: build, scaffold, release, audit."""
