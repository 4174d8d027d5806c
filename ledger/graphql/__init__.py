"""The GraphQL edge: reads projections and the catalogue, calls commands; refusals are types."""
