"""The report: pages, charts and frames made from results alone, never from a database."""
