"""Made-up surroundings for the demo and the tests: customers with a month of usage. Nothing here is real."""
