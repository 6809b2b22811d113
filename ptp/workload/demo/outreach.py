"""The tables of the Twitter side: accounts, tweets, opportunities and daily growth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ptp.workload.demo.arrays import Flags, Floats, Ints, dice, optional, picked, stream, weighted
from ptp.workload.demo.names import person
from ptp.workload.demo.sizes import DAY, DEMO_NOW, DEMO_START, Size
from ptp.workload.demo.tables import Table, days, span

_ACCOUNT_COLUMNS = (
    "id", "username", "display_name", "bio", "followers_count", "following_count", "tweet_count",
    "is_own_account", "is_competitor", "is_target_audience", "last_analyzed_at", "created_at", "updated_at",
)  # fmt: skip
_TWEET_COLUMNS = (
    "id", "account_id", "text", "metrics", "entities", "ai_analysis", "created_at", "analyzed_at",
)  # fmt: skip
_OPPORTUNITY_COLUMNS = (
    "id", "tweet_id", "account_id", "opportunity_type", "relevance_score", "suggested_response",
    "ai_model_used", "ai_cost", "status", "executed_at", "created_at",
)  # fmt: skip
_METRIC_COLUMNS = (
    "id", "date", "followers_count", "following_count", "new_followers", "lost_followers", "tweets_sent",
    "engagements_made", "impressions", "profile_visits", "engagement_rate", "ai_costs", "created_at",
)  # fmt: skip
_SUBJECTS = ("subnetting", "IAM policies", "Kubernetes networking", "threat modelling", "BGP", "Terraform state")
_TWEETS = (
    "Anyone else stuck on {s}? Exam in {n} days and I am nervous 😬",
    "Passed today! {s} was a third of it. {n} hours of practice paid off 🎉",
    "Hot take: {s} is easier than people say. {n} flash cards and you are done.",
    "Is there a good free course on {s}? I have {n} weeks.",
    "Day {n} of #100DaysOfCloud: {s}. Notes in the thread.",
    "Étudier {s} à {n} heures du matin… plus que dix jours.",
)
_REPLIES = (
    "Good luck! For {s}, short daily drills helped most of our learners.",
    "Congratulations! Which part of {s} surprised you?",
    "We keep a free set of questions on {s}, happy to share the link.",
)
_TYPES = ("reply", "quote", "follow")
_STATUSES = ("pending", "approved", "rejected", "executed")
_MODELS = ("gpt-4o-mini", "claude-3-5-haiku", "gpt-4o")
_SNOWFLAKE_EPOCH_MS = 1_288_834_974_657


@dataclass(frozen=True, kw_only=True)
class Outreach:
    """Ids and times that the other tables refer to."""

    account_ids: list[str]
    tweet_ids: list[str]
    tweet_account: Ints
    tweeted: Ints
    analysed: Ints
    opportunity_ids: list[str]
    opportunity_tweet: Ints


def make_outreach(size: Size, *, seed: int) -> Outreach:
    """Accounts, their tweets of the last year, and the opportunities found in the analysed ones."""
    rng = stream(seed, "outreach")
    tweeted = np.sort(rng.integers(DEMO_NOW - 365 * DAY, DEMO_NOW - DAY, size=size.tweets))
    analysed = np.where(rng.random(size.tweets) < 0.9, tweeted + rng.integers(60, 7_200, size.tweets), 0)
    account = weighted(rng, rng.lognormal(0.0, 1.0, size.accounts), size=size.tweets)
    source = rng.choice(np.flatnonzero(analysed), size=size.opportunities)
    source.sort()
    return Outreach(
        account_ids=[str(10**8 + i * 7_919_011) for i in range(1, size.accounts + 1)],
        tweet_ids=[str(((at * 1_000 - _SNOWFLAKE_EPOCH_MS) << 22) + i) for i, at in enumerate(tweeted.tolist())],
        tweet_account=account,
        tweeted=tweeted,
        analysed=analysed,
        opportunity_ids=[rng.bytes(16).hex() for _ in range(size.opportunities)],
        opportunity_tweet=source,
    )


def outreach_tables(outreach: Outreach, *, size: Size, seed: int) -> list[Table]:
    """The four tables, parents first."""
    return [
        _accounts(outreach, seed=seed),
        _tweets(outreach, seed=seed),
        _opportunities(outreach, seed=seed),
        _growth(size.metric_days, seed=seed),
    ]


def _accounts(outreach: Outreach, *, seed: int) -> Table:
    count = len(outreach.account_ids)
    draws = dice(stream(seed, "accounts"), count, 4)
    ours = np.bincount(outreach.tweet_account, minlength=count)

    def columns_of(part: slice) -> Sequence[Sequence[Any]]:
        rows, draw = range(part.start, part.stop), draws[part]
        names = [person(value) for value in draw[:, 0].tolist()]
        rival, kind = draw[:, 1] % 6 == 0, draw[:, 2] % 10
        seen = DEMO_NOW - 3_600 - draw[:, 3] % (30 * DAY)
        return (
            outreach.account_ids[part],
            [
                "pingtopass" if row == 0 else latin.replace(".", "_") + str(row)
                for row, (_, latin) in zip(rows, names, strict=True)
            ],
            ["PingToPass" if row == 0 else name for row, (name, _) in zip(rows, names, strict=True)],
            optional(picked([f"Learning {s}, one day at a time ☁️" for s in _SUBJECTS], draw[:, 1] // 8), kind > 2),
            (draw[:, 2] % 20_000 + 12).tolist(),
            (draw[:, 3] % 2_000 + 5).tolist(),
            (ours[part] + draw[:, 0] % 5_000).tolist(),
            [int(row == 0) for row in rows],
            [int(bad and row != 0) for row, bad in zip(rows, rival.tolist(), strict=True)],
            [int(not bad and row != 0) for row, bad in zip(rows, rival.tolist(), strict=True)],
            optional(seen, kind > 0),
            [DEMO_START + row * 3_600 for row in rows],
            np.where(kind > 0, seen, DEMO_START + np.array(rows) * 3_600).tolist(),
        )

    return Table(name="twitter_accounts", rows=count, columns=_ACCOUNT_COLUMNS, columns_of=columns_of)


def _tweets(outreach: Outreach, *, seed: int) -> Table:
    draws = dice(stream(seed, "tweets"), len(outreach.tweet_ids), 3)

    def columns_of(part: slice) -> Sequence[Sequence[Any]]:
        words, reach, mood = draws[part].T
        subjects, read = picked(_SUBJECTS, words), outreach.analysed[part] > 0
        return (
            outreach.tweet_ids[part],
            [outreach.account_ids[i] for i in outreach.tweet_account[part].tolist()],
            [
                _TWEETS[n // 8 % len(_TWEETS)].format(s=subject, n=2 + n // 64 % 89)
                for n, subject in zip(words.tolist(), subjects, strict=True)
            ],
            [
                f'{{"like_count": {n % 300}, "retweet_count": {n % 41}, "impression_count": {n % 300 * 37 + 12}}}'
                for n in reach.tolist()
            ],
            [None if n % 3 else '{"hashtags": ["100DaysOfCloud"], "urls": []}' for n in reach.tolist()],
            optional(
                [
                    json.dumps({"topic": s, "sentiment": (n % 201 - 100) / 100})
                    for s, n in zip(subjects, mood.tolist(), strict=True)
                ],
                read,
            ),
            outreach.tweeted[part].tolist(),
            optional(outreach.analysed[part], read),
        )

    return Table(name="tweets", rows=len(draws), columns=_TWEET_COLUMNS, columns_of=columns_of)


def _opportunities(outreach: Outreach, *, seed: int) -> Table:
    count = len(outreach.opportunity_ids)
    rng = stream(seed, "opportunities")
    draws = dice(rng, count, 3)
    kind, status = weighted(rng, (0.7, 0.2, 0.1), size=count), weighted(rng, (0.25, 0.2, 0.15, 0.4), size=count)
    relevance = np.round(rng.beta(5, 2, count), 4)
    found = outreach.analysed[outreach.opportunity_tweet] + rng.integers(1, 3_600, count)

    def columns_of(part: slice) -> Sequence[Sequence[Any]]:
        tweet, draw = outreach.opportunity_tweet[part], draws[part]
        words = zip(picked(_REPLIES, draw[:, 0]), picked(_SUBJECTS, draw[:, 1]), strict=True)
        return (
            outreach.opportunity_ids[part],
            [outreach.tweet_ids[i] for i in tweet.tolist()],
            [outreach.account_ids[i] for i in outreach.tweet_account[tweet].tolist()],
            picked(_TYPES, kind[part]),
            relevance[part].tolist(),
            optional([reply.format(s=subject) for reply, subject in words], kind[part] != 2),
            picked(_MODELS, draw[:, 2]),
            np.round(draw[:, 2] % 900 / 100_000 + 0.0004, 6).tolist(),
            picked(_STATUSES, status[part]),
            optional(found[part] + 60 + draw[:, 0] % (12 * 3_600), status[part] == 3),
            found[part].tolist(),
        )

    return Table(name="engagement_opportunities", rows=count, columns=_OPPORTUNITY_COLUMNS, columns_of=columns_of)


def _growth(count: int, *, seed: int) -> Table:
    """One row a day, up to yesterday; each day's followers are the day before's plus new minus lost."""
    rng = stream(seed, "growth")
    day = (DEMO_NOW // DAY - count + np.arange(count)) * DAY
    quiet: Flags = rng.random(count) < 0.03
    new = np.where(quiet, 0, rng.poisson(30, count))
    lost = np.minimum(rng.poisson(6, count), 400)
    followers = 850 + np.cumsum(new - lost)
    impressions = 2_000 + rng.integers(0, 9_000, count) + new * 40
    made = rng.poisson(45, count)
    costs: Floats = np.round(rng.gamma(4.0, 0.35, count), 4)
    sent, visits = rng.poisson(5, count), impressions // 25

    def columns_of(part: slice) -> Sequence[Sequence[Any]]:
        return (
            span(part, first=1),
            days(day[part]),
            followers[part].tolist(),
            [310 + row // 4 for row in range(part.start, part.stop)],
            new[part].tolist(),
            lost[part].tolist(),
            sent[part].tolist(),
            made[part].tolist(),
            impressions[part].tolist(),
            visits[part].tolist(),
            (made[part] / impressions[part]).tolist(),
            costs[part].tolist(),
            (day[part] + DAY + 300).tolist(),
        )

    return Table(name="growth_metrics", rows=count, columns=_METRIC_COLUMNS, columns_of=columns_of)
