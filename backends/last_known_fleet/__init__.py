"""The fleet as it was last seen, kept on disk so that a dashboard has something to show, marked so, before a cluster answers.

It is a memory of what was shown and nothing more: no verb is planned over it, and no command prints it.
"""
