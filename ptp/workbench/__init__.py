"""The workbench: what the command line and the notebooks call. A stage finds; a run puts stages together."""
