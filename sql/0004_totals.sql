-- Totals that a query reads instead of the rows behind them. Triggers keep them; `ptp verify` counts them anew.
-- ptp:up

-- How many users of an exam's leaderboard stand in a stretch of readiness. A user's readiness in 2,048ths, up to
-- 128, is a leaf (scores are from 0 to 100, or from 0 to 1); its node is 262144 + that, its parent's an eighth of it, six
-- levels up. A rank adds up, on each level, the nodes that are better than the own one under the same parent.
CREATE TABLE leaderboard_nodes (
  exam_id INTEGER NOT NULL,
  node INTEGER NOT NULL,
  users INTEGER NOT NULL,
  PRIMARY KEY (exam_id, node)
) STRICT, WITHOUT ROWID;

INSERT INTO leaderboard_nodes (exam_id, node, users)
SELECT exam_id,
       (262144 + min(262143, CAST(max(coalesce(readiness_score, 0), 0) * 2048 AS INTEGER))) >> levels.value AS node,
       count(*)
FROM user_progress, json_each('[0,3,6,9,12,15]') AS levels
WHERE total_questions_seen > 50
GROUP BY exam_id, node;

CREATE TRIGGER leaderboard_insert AFTER INSERT ON user_progress
WHEN NEW.total_questions_seen > 50
BEGIN
  INSERT INTO leaderboard_nodes (exam_id, node, users)
  SELECT NEW.exam_id, counted.node, 0
  FROM (
    SELECT (262144 + min(262143, CAST(max(coalesce(NEW.readiness_score, 0), 0) * 2048 AS INTEGER)))
           >> levels.value AS node
    FROM json_each('[0,3,6,9,12,15]') AS levels) AS counted
  WHERE NOT EXISTS (SELECT 1 FROM leaderboard_nodes WHERE exam_id = NEW.exam_id AND node = counted.node);
  UPDATE leaderboard_nodes SET users = users + 1
  WHERE exam_id = NEW.exam_id AND node IN (
    SELECT (262144 + min(262143, CAST(max(coalesce(NEW.readiness_score, 0), 0) * 2048 AS INTEGER))) >> levels.value
    FROM json_each('[0,3,6,9,12,15]') AS levels);
END;

CREATE TRIGGER leaderboard_delete AFTER DELETE ON user_progress
WHEN OLD.total_questions_seen > 50
BEGIN
  UPDATE leaderboard_nodes SET users = users - 1
  WHERE exam_id = OLD.exam_id AND node IN (
    SELECT (262144 + min(262143, CAST(max(coalesce(OLD.readiness_score, 0), 0) * 2048 AS INTEGER))) >> levels.value
    FROM json_each('[0,3,6,9,12,15]') AS levels);
  DELETE FROM leaderboard_nodes
  WHERE users = 0 AND exam_id = OLD.exam_id AND node IN (
    SELECT (262144 + min(262143, CAST(max(coalesce(OLD.readiness_score, 0), 0) * 2048 AS INTEGER))) >> levels.value
    FROM json_each('[0,3,6,9,12,15]') AS levels);
END;

CREATE TRIGGER leaderboard_update AFTER UPDATE OF exam_id, readiness_score, total_questions_seen ON user_progress
WHEN OLD.exam_id <> NEW.exam_id
    OR OLD.readiness_score IS NOT NEW.readiness_score
    OR (OLD.total_questions_seen > 50) IS NOT (NEW.total_questions_seen > 50)
BEGIN
  UPDATE leaderboard_nodes SET users = users - 1
  WHERE OLD.total_questions_seen > 50 AND exam_id = OLD.exam_id AND node IN (
    SELECT (262144 + min(262143, CAST(max(coalesce(OLD.readiness_score, 0), 0) * 2048 AS INTEGER))) >> levels.value
    FROM json_each('[0,3,6,9,12,15]') AS levels);
  INSERT INTO leaderboard_nodes (exam_id, node, users)
  SELECT NEW.exam_id, counted.node, 0
  FROM (
    SELECT (262144 + min(262143, CAST(max(coalesce(NEW.readiness_score, 0), 0) * 2048 AS INTEGER)))
           >> levels.value AS node
    FROM json_each('[0,3,6,9,12,15]') AS levels) AS counted
  WHERE NEW.total_questions_seen > 50
    AND NOT EXISTS (SELECT 1 FROM leaderboard_nodes WHERE exam_id = NEW.exam_id AND node = counted.node);
  UPDATE leaderboard_nodes SET users = users + 1
  WHERE NEW.total_questions_seen > 50 AND exam_id = NEW.exam_id AND node IN (
    SELECT (262144 + min(262143, CAST(max(coalesce(NEW.readiness_score, 0), 0) * 2048 AS INTEGER))) >> levels.value
    FROM json_each('[0,3,6,9,12,15]') AS levels);
  DELETE FROM leaderboard_nodes
  WHERE users = 0 AND exam_id = OLD.exam_id AND node IN (
    SELECT (262144 + min(262143, CAST(max(coalesce(OLD.readiness_score, 0), 0) * 2048 AS INTEGER))) >> levels.value
    FROM json_each('[0,3,6,9,12,15]') AS levels);
END;

-- AI calls of a day (UTC, in days since 1970) by purpose and model. `priced` and `judged` are the calls whose cost
-- and whose success are known. A call without a time belongs to no day.
CREATE TABLE ai_cost_days (
  day INTEGER NOT NULL,
  purpose TEXT NOT NULL,
  model TEXT NOT NULL,
  calls INTEGER NOT NULL,
  priced INTEGER NOT NULL,
  cost_cents REAL NOT NULL,
  judged INTEGER NOT NULL,
  succeeded INTEGER NOT NULL,
  PRIMARY KEY (day, purpose, model)
) STRICT, WITHOUT ROWID;

INSERT INTO ai_cost_days (day, purpose, model, calls, priced, cost_cents, judged, succeeded)
SELECT created_at / 86400, purpose, model, count(*), count(cost_cents), coalesce(sum(cost_cents), 0.0),
       count(success), coalesce(sum(success), 0)
FROM ai_generation_log
WHERE created_at IS NOT NULL
GROUP BY created_at / 86400, purpose, model;

-- An added call is added; where one is changed or removed, its day is counted anew, as sums of REAL do not subtract.
CREATE TRIGGER ai_cost_days_insert AFTER INSERT ON ai_generation_log
WHEN NEW.created_at IS NOT NULL
BEGIN
  INSERT INTO ai_cost_days (day, purpose, model, calls, priced, cost_cents, judged, succeeded)
  SELECT NEW.created_at / 86400, NEW.purpose, NEW.model, 0, 0, 0.0, 0, 0
  WHERE NOT EXISTS (
    SELECT 1 FROM ai_cost_days
    WHERE day = NEW.created_at / 86400 AND purpose = NEW.purpose AND model = NEW.model);
  UPDATE ai_cost_days
  SET calls = calls + 1,
      priced = priced + (NEW.cost_cents IS NOT NULL),
      cost_cents = cost_cents + coalesce(NEW.cost_cents, 0.0),
      judged = judged + (NEW.success IS NOT NULL),
      succeeded = succeeded + coalesce(NEW.success, 0)
  WHERE day = NEW.created_at / 86400 AND purpose = NEW.purpose AND model = NEW.model;
END;

CREATE TRIGGER ai_cost_days_delete AFTER DELETE ON ai_generation_log
WHEN OLD.created_at IS NOT NULL
BEGIN
  DELETE FROM ai_cost_days WHERE day = OLD.created_at / 86400 AND purpose = OLD.purpose AND model = OLD.model;
  INSERT INTO ai_cost_days (day, purpose, model, calls, priced, cost_cents, judged, succeeded)
  SELECT OLD.created_at / 86400, OLD.purpose, OLD.model, count(*), count(cost_cents), coalesce(sum(cost_cents), 0.0),
         count(success), coalesce(sum(success), 0)
  FROM ai_generation_log
  WHERE created_at >= OLD.created_at / 86400 * 86400 AND created_at < (OLD.created_at / 86400 + 1) * 86400
    AND purpose = OLD.purpose AND model = OLD.model
  HAVING count(*) > 0;
END;

CREATE TRIGGER ai_cost_days_update
AFTER UPDATE OF purpose, model, cost_cents, success, created_at ON ai_generation_log
BEGIN
  DELETE FROM ai_cost_days
  WHERE (day = OLD.created_at / 86400 AND purpose = OLD.purpose AND model = OLD.model)
     OR (day = NEW.created_at / 86400 AND purpose = NEW.purpose AND model = NEW.model);
  INSERT INTO ai_cost_days (day, purpose, model, calls, priced, cost_cents, judged, succeeded)
  SELECT OLD.created_at / 86400, OLD.purpose, OLD.model, count(*), count(cost_cents), coalesce(sum(cost_cents), 0.0),
         count(success), coalesce(sum(success), 0)
  FROM ai_generation_log
  WHERE created_at >= OLD.created_at / 86400 * 86400 AND created_at < (OLD.created_at / 86400 + 1) * 86400
    AND purpose = OLD.purpose AND model = OLD.model
  HAVING count(*) > 0;
  INSERT INTO ai_cost_days (day, purpose, model, calls, priced, cost_cents, judged, succeeded)
  SELECT NEW.created_at / 86400, NEW.purpose, NEW.model, count(*), count(cost_cents), coalesce(sum(cost_cents), 0.0),
         count(success), coalesce(sum(success), 0)
  FROM ai_generation_log
  WHERE created_at >= NEW.created_at / 86400 * 86400 AND created_at < (NEW.created_at / 86400 + 1) * 86400
    AND purpose = NEW.purpose AND model = NEW.model
    AND (OLD.created_at / 86400, OLD.purpose, OLD.model) IS NOT (NEW.created_at / 86400, NEW.purpose, NEW.model)
  HAVING count(*) > 0;
END;

-- ptp:down

DROP TRIGGER ai_cost_days_update;
DROP TRIGGER ai_cost_days_delete;
DROP TRIGGER ai_cost_days_insert;
DROP TABLE ai_cost_days;
DROP TRIGGER leaderboard_update;
DROP TRIGGER leaderboard_delete;
DROP TRIGGER leaderboard_insert;
DROP TABLE leaderboard_nodes;
