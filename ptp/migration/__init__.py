"""Migration: steps, plan, preflight, backup and the build of the next database."""
