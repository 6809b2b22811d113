"""Verification: row by row, that nothing was lost or changed other than as declared."""
