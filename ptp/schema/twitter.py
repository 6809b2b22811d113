"""The Twitter growth system: accounts, tweets, opportunities to engage, and daily metrics."""

from __future__ import annotations

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped

from ptp.conversions import Choice
from ptp.schema.columns import NOW, Base, column, index, key, strict

RANDOM_ID = sql("(lower(hex(randomblob(16))))")


class TwitterAccount(Base):
    """An account that is followed or owned."""

    __tablename__ = "twitter_accounts"
    __table_args__ = strict(UniqueConstraint("username"), autoincrement=False)

    id: Mapped[str] = column("text", primary_key=True)
    username: Mapped[str] = column("text", required=True)
    display_name: Mapped[str | None] = column("text")
    bio: Mapped[str | None] = column("text")
    followers_count: Mapped[int | None] = column("integer", default=0)
    following_count: Mapped[int | None] = column("integer", default=0)
    tweet_count: Mapped[int | None] = column("integer", default=0)
    is_own_account: Mapped[bool | None] = column("boolean", default=False)
    is_competitor: Mapped[bool | None] = column("boolean", default=False)
    is_target_audience: Mapped[bool | None] = column("boolean", default=False)
    last_analyzed_at: Mapped[int | None] = column("time")
    created_at: Mapped[int | None] = column("time", default=NOW)
    updated_at: Mapped[int | None] = column("time", default=NOW)


class Tweet(Base):
    """A tweet with its engagement metrics."""

    __tablename__ = "tweets"
    __table_args__ = strict(
        index("idx_tweets_account", "account_id", serves="foreign key account_id"),
        autoincrement=False,
    )

    id: Mapped[str] = column("text", primary_key=True)
    account_id: Mapped[str] = column("text", ForeignKey("twitter_accounts.id"), required=True)
    text: Mapped[str] = column("text", required=True)
    metrics: Mapped[str | None] = column("json")
    entities: Mapped[str | None] = column("json")
    ai_analysis: Mapped[str | None] = column("json")
    created_at: Mapped[int | None] = column("time")
    analyzed_at: Mapped[int | None] = column("time")


class EngagementOpportunity(Base):
    """A suggested reply, quote or follow."""

    __tablename__ = "engagement_opportunities"
    __table_args__ = strict(
        index(
            "idx_opportunities_pending",
            "status",
            "relevance_score DESC",
            "id",
            serves="pending opportunities by relevance",
            where="status = 'pending'",
        ),
        index("idx_opportunities_tweet", "tweet_id", serves="foreign key tweet_id"),
        index("idx_opportunities_account", "account_id", serves="foreign key account_id"),
        autoincrement=False,
    )

    id: Mapped[str] = column("text", default=RANDOM_ID, primary_key=True)
    tweet_id: Mapped[str] = column("text", ForeignKey("tweets.id"), required=True)
    account_id: Mapped[str] = column("text", ForeignKey("twitter_accounts.id"), required=True)
    opportunity_type: Mapped[str | None] = column("text", rule=Choice(("reply", "quote", "follow")))
    relevance_score: Mapped[float | None] = column("real")
    suggested_response: Mapped[str | None] = column("text")
    ai_model_used: Mapped[str | None] = column("text")
    ai_cost: Mapped[float | None] = column("real")
    status: Mapped[str | None] = column(
        "text", default="pending", rule=Choice(("pending", "approved", "rejected", "executed"))
    )
    executed_at: Mapped[int | None] = column("time")
    created_at: Mapped[int | None] = column("time", default=NOW)


class GrowthMetric(Base):
    """Followers, engagement and cost of one day."""

    __tablename__ = "growth_metrics"
    __table_args__ = strict(UniqueConstraint("date"))

    id: Mapped[int] = key()
    date: Mapped[str] = column("date", required=True)
    followers_count: Mapped[int | None] = column("integer")
    following_count: Mapped[int | None] = column("integer")
    new_followers: Mapped[int | None] = column("integer")
    lost_followers: Mapped[int | None] = column("integer")
    tweets_sent: Mapped[int | None] = column("integer")
    engagements_made: Mapped[int | None] = column("integer")
    impressions: Mapped[int | None] = column("integer")
    profile_visits: Mapped[int | None] = column("integer")
    engagement_rate: Mapped[float | None] = column("real")
    ai_costs: Mapped[float | None] = column("real")
    created_at: Mapped[int | None] = column("time", default=NOW)
