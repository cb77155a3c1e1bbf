"""The engine: statistics, detection, fit and synthesis of periodic noise. numpy and torch only."""
