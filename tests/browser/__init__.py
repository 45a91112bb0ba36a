"""The pages in a real Chromium, before a real server with a real worker."""
