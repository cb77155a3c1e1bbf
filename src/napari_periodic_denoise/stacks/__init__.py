"""Cleaning of stacks of planes, in memory or lazily."""
