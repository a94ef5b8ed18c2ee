"""The paint: Textual widgets that take fleet values in and give messages out. They fetch nothing."""
