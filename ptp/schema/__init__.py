"""The schema at head: 14 typed tables of PingToPass, with the column names of the drizzle shape."""

from ptp.schema.columns import Base, add_checks
from ptp.schema.content import Exam, Objective, Question
from ptp.schema.operations import AiGeneration, AuditEntry
from ptp.schema.study import StudySession, TestAttempt, User, UserAnswer, UserProgress
from ptp.schema.twitter import EngagementOpportunity, GrowthMetric, Tweet, TwitterAccount

for _table in Base.metadata.sorted_tables:
    add_checks(_table)

__all__ = [
    "AiGeneration",
    "AuditEntry",
    "Base",
    "EngagementOpportunity",
    "Exam",
    "GrowthMetric",
    "Objective",
    "Question",
    "StudySession",
    "TestAttempt",
    "Tweet",
    "TwitterAccount",
    "User",
    "UserAnswer",
    "UserProgress",
]
