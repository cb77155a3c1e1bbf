"""Devices, threads, worker processes and native libraries."""
