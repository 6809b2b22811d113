"""Local read-only replicas of a remote database, through Turso Sync: they pull, are read, and never write."""

from ptp.engine.replicas.content import Digest, Entry, Reader, digest, read_schema
from ptp.engine.replicas.files import Notes, check_no_replica, is_replica, read_notes, remote_url
from ptp.engine.replicas.guarded import ReplicaConnection
from ptp.engine.replicas.making import create_replica, open_replica, rebuild_replica, remove_replica
from ptp.engine.replicas.replica import Freshness, Pulled, Replica, freshness_of
from ptp.engine.replicas.statements import check_read_only, is_helper
from ptp.engine.replicas.waiting import Patience, RemoteRefused, Unreachable

__all__ = [
    "Digest",
    "Entry",
    "Freshness",
    "Notes",
    "Patience",
    "Pulled",
    "Reader",
    "RemoteRefused",
    "Replica",
    "ReplicaConnection",
    "Unreachable",
    "check_no_replica",
    "check_read_only",
    "create_replica",
    "digest",
    "freshness_of",
    "is_helper",
    "is_replica",
    "open_replica",
    "read_notes",
    "read_schema",
    "rebuild_replica",
    "remote_url",
    "remove_replica",
]
