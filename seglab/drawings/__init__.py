"""What the lessons draw, one module per lesson."""
