"""The six verbs, each a pure function from a request and the ground to a plan."""
