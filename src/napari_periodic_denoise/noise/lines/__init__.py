"""Line noise: offsets of rows or columns, steps between them, and streaks along them."""
