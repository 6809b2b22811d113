"""Databases on servers: copied to a proven local mirror, and built anew there from a local file."""
