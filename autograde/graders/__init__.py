"""Hidden graders, a folder per lesson, and what they import (`kit`)."""
