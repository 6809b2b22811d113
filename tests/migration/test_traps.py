"""The known traps of migrating SQLite, each with the test that must exist: real files, and ptp's own commands on them.

The numbers are those of the list of traps that this project was given. Where a trap cannot come about in ptp's design,
its test shows that; where another test goes deeper, the one here is short.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import ptp
from ptp.engine import moves, open_engine
from ptp.engine.connect import atomic
from ptp.engine.environment import environment
from ptp.errors import CannotFinish, Locked, StepRefused, UsageError
from ptp.migration.backup import take_backup
from ptp.migration.conditions import FLAWS
from ptp.migration.journal import check_steps
from ptp.migration.record import read_record
from ptp.migration.steps import load_steps
from ptp.resources import folder
from ptp.verification.content import Files  # type: ignore[attr-defined]
