"""The queries of PingToPass: four classes, typed arguments in, frozen rows out, every value bound."""

from ptp.queries.analytics import AiCost, AnalyticsQueries, QuestionStatistics
from ptp.queries.progress import Progress, ProgressQueries, RecentSession, Standing
from ptp.queries.recording import NewAnswer, RecordedAnswer
from ptp.queries.study import MODES, Mode, SessionProgress, StudyQueries, StudyQuestion
from ptp.queries.totals import Totals
from ptp.queries.twitter import DailyMetrics, GrowthDay, GrowthMonth, Opportunity, TwitterQueries

__all__ = [
    "MODES",
    "AiCost",
    "AnalyticsQueries",
    "DailyMetrics",
    "GrowthDay",
    "GrowthMonth",
    "Mode",
    "NewAnswer",
    "Opportunity",
    "Progress",
    "ProgressQueries",
    "QuestionStatistics",
    "RecentSession",
    "RecordedAnswer",
    "SessionProgress",
    "Standing",
    "StudyQueries",
    "StudyQuestion",
    "Totals",
    "TwitterQueries",
]
