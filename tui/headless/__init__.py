"""The commands that need no screen: what is asked is done, JSON goes to stdout and words to stderr."""
