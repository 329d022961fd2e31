"""Webhooks of providers: one file a provider, with its scheme (who sent it) and its form (what it says)."""
