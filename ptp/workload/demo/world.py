"""All tables of a demo source, in the order in which they are written."""

from __future__ import annotations

import numpy as np

from ptp.workload.demo.activity import Sittings, make_answers, make_sittings
from ptp.workload.demo.arrays import Ints
from ptp.workload.demo.content import make_content
from ptp.workload.demo.content_tables import exams_table, objectives_table
from ptp.workload.demo.operations import operations_tables
from ptp.workload.demo.outreach import make_outreach, outreach_tables
from ptp.workload.demo.people import make_people, users_table
from ptp.workload.demo.progress import progress_table, progress_totals
from ptp.workload.demo.question_table import questions_table
from ptp.workload.demo.sizes import Shape, Size
from ptp.workload.demo.study_tables import answers_table, attempts_table, sessions_table
from ptp.workload.demo.tables import Table
from ptp.workload.demo.totals import attempt_results, exam_totals, question_totals, sitting_totals


def demo_tables(*, shape: Shape, size: Size, seed: int) -> list[Table]:
    """The tables of a shape, parents first. People and activity are the same in both shapes."""
    people = make_people(size, seed=seed)
    content = make_content(size, seed=seed)
    sittings = make_sittings(size, people=people, content=content, seed=seed)
    answers = make_answers(size, sittings, people=people, content=content, seed=seed)
    totals = sitting_totals(answers, sittings=sittings, content=content)
    results = attempt_results(totals, sittings=sittings, content=content)
    exams = exam_totals(results, sittings=sittings, exams=size.exams)
    progress = progress_totals(answers, sittings=sittings, totals=totals, results=results, content=content, size=size)
    last_login, logins = _logins(sittings, users=size.users)
    tables = [
        users_table(people, last_login=last_login, logins=logins, seed=seed),
        exams_table(content, totals=exams),
        objectives_table(content),
        questions_table(content, totals=question_totals(answers, size=size), seed=seed),
        sessions_table(sittings, totals=totals),
        attempts_table(sittings, totals=totals, results=results, answers=answers, content=content, size=size),
        answers_table(
            answers,
            sittings=sittings,
            content=content,
            # In the raw shape every time is text; only drizzle mixes the two.
            text_times=size.text_times if shape == "drizzle" else 0,
            seed=seed,
        ),
        progress_table(progress),
    ]
    if shape == "drizzle":
        outreach = make_outreach(size, seed=seed)
        tables += outreach_tables(outreach, size=size, seed=seed)
        tables += operations_tables(people=people, content=content, outreach=outreach, size=size, seed=seed)
    return tables


def _logins(sittings: Sittings, *, users: int) -> tuple[Ints, Ints]:
    """Per user the start of the last sitting, 0 if there is none, and the number of sittings."""
    last = np.zeros(users, dtype=np.int64)
    np.maximum.at(last, sittings.user, sittings.started)
    return last, np.bincount(sittings.user, minlength=users)
