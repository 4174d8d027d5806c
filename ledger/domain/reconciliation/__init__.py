"""Where our numbers and a billing platform's part, to the minute, and what explains it. All of it pure."""
