"""What comes in from a browser, checked before anything is done with it."""
