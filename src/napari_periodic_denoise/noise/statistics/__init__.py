"""Gram statistics: features, spectra, peaks."""
