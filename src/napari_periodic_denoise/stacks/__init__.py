"""Stacks of planes, in memory and lazy."""
