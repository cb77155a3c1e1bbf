"""Search for waves, and the tests that accept or reject them."""
