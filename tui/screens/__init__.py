"""The screens: each is handed the session, asks the deck, and paints with widgets. None of them names a backend."""
