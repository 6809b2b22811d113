"""Damage to a migrated database, as a catalogue: what a verification must see, each kind at random places."""

from __future__ import annotations

from ptp.workload.mutations.catalogue import CATALOGUE
from ptp.workload.mutations.kinds import GROUPS, Kind, NoDamage, NotHere, inflict
from ptp.workload.mutations.subject import write_subject

__all__ = ["CATALOGUE", "GROUPS", "Kind", "NoDamage", "NotHere", "inflict", "write_subject"]
