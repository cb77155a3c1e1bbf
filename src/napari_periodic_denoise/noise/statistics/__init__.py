"""Gram statistics: features, networks, spectra, peaks and local energies."""
