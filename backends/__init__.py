"""The edge: all input and output. Each folder speaks to one outside system and knows no other."""
