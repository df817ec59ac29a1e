"""The database's advisory locks, all in one place: two rooms that took one number would wait for each other."""

from enum import IntEnum, unique


@unique
class Lock(IntEnum):
    """Numbers are never used again; AUDIT stands in the migrations' SQL as well."""

    MIGRATION = 7264000
    AUDIT = 7264001
    IN_USE = 7264002  # commands share it while they use this machine's PostgreSQL without `pointsman up`
    UPKEEP = 7264003
    NOTICES = 7264004
    GAPS = 7264006
    CASES = 7264008
    REASONS = 7264010
    SLA = 7264011
    DRIFT = 7264012
    SURGE = 7264013
    RETENTION = 7264014
