"""The engine: statistics, search, fit and synthesis of periodic noise, with numpy and torch."""
