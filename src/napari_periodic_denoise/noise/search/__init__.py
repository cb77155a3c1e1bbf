"""The search for waves, and the tests that accept them."""
