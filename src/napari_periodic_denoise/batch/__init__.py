"""Batch cleaning of files."""
