"""Simulated: the vendor's `hccl` package, of the same name as the project's own folder."""
