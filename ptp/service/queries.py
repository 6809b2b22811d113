"""The queries that a service asks, plain or cached: one value with the same four sets of methods either way."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from ptp.queries import AnalyticsQueries, ProgressQueries, StudyQueries, TwitterQueries


@dataclass(frozen=True, slots=True)
class Queries:
    """The four query classes on one database."""

    study: StudyQueries
    progress: ProgressQueries
    twitter: TwitterQueries
    analytics: AnalyticsQueries


def plain(engine: Engine) -> Queries:
    """The queries without a cache, on an engine of `ptp.engine.open_engine`."""
    return Queries(StudyQueries(engine), ProgressQueries(engine), TwitterQueries(engine), AnalyticsQueries(engine))
