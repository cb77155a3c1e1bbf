"""Devices, threads, worker processes, native libraries."""
