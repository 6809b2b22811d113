"""The queries of PingToPass: four classes, typed arguments in, frozen rows out, every value bound."""

from ptp.queries.administration import Action, Actor, AuditRecord, Entity
from ptp.queries.analytics import AnalyticsQueries, QuestionStatistics
from ptp.queries.drawing import Mode
from ptp.queries.generations import AiCost, NewGeneration
from ptp.queries.progress import Progress, ProgressQueries, RecentSession, Standing
from ptp.queries.recording import NewAnswer, RecordedAnswer
from ptp.queries.searching import FoundQuestion, Search
from ptp.queries.study import MODES, SessionProgress, StudyQueries, StudyQuestion
from ptp.queries.totals import Totals
from ptp.queries.twitter import DailyMetrics, GrowthDay, GrowthMonth, Opportunity, TwitterQueries

__all__ = [
    "MODES",
    "Action",
    "Actor",
    "AiCost",
    "AnalyticsQueries",
    "AuditRecord",
    "DailyMetrics",
    "Entity",
    "FoundQuestion",
    "GrowthDay",
    "GrowthMonth",
    "Mode",
    "NewAnswer",
    "NewGeneration",
    "Opportunity",
    "Progress",
    "ProgressQueries",
    "QuestionStatistics",
    "RecentSession",
    "RecordedAnswer",
    "Search",
    "SessionProgress",
    "Standing",
    "StudyQueries",
    "StudyQuestion",
    "Totals",
    "TwitterQueries",
]
