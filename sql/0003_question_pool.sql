-- What may be drawn, by cell: an exam's eligible questions (active and approved) of one objective and difficulty.
-- A question of a cell stands at the slot cell * 2^32 + rank, with ranks 0 to size - 1 without a gap, so that a
-- uniform draw is a choice of slots. Who leaves has the last of the cell put in its place. Triggers keep this.
-- ptp:up

CREATE TABLE question_cells (
  id INTEGER PRIMARY KEY,
  exam_id INTEGER NOT NULL,
  objective_id INTEGER NOT NULL,
  difficulty INTEGER NOT NULL, -- 0 where the question has none
  size INTEGER NOT NULL,
  UNIQUE (exam_id, objective_id, difficulty)
) STRICT;

CREATE TABLE question_pool (
  slot INTEGER PRIMARY KEY,
  question_id INTEGER NOT NULL UNIQUE
) STRICT;

INSERT INTO question_cells (exam_id, objective_id, difficulty, size)
SELECT exam_id, objective_id, coalesce(difficulty, 0), count(*)
FROM questions
WHERE is_active = 1 AND review_status = 'approved'
GROUP BY exam_id, objective_id, coalesce(difficulty, 0);

INSERT INTO question_pool (slot, question_id)
SELECT (question_cells.id << 32) + row_number() OVER (PARTITION BY question_cells.id ORDER BY questions.id) - 1,
       questions.id
FROM questions
JOIN question_cells
    ON question_cells.exam_id = questions.exam_id
    AND question_cells.objective_id = questions.objective_id
    AND question_cells.difficulty = coalesce(questions.difficulty, 0)
WHERE questions.is_active = 1 AND questions.review_status = 'approved';

-- A question that stands in the pool already was replaced: SQLite fires no DELETE trigger for that.
CREATE TRIGGER question_pool_insert AFTER INSERT ON questions
WHEN (NEW.is_active = 1 AND NEW.review_status = 'approved')
    OR EXISTS (SELECT 1 FROM question_pool WHERE question_id = NEW.id)
BEGIN
  UPDATE question_cells SET size = size - 1
  WHERE id = (SELECT slot >> 32 FROM question_pool WHERE question_id = NEW.id);
  UPDATE question_pool SET slot = -slot WHERE question_id = NEW.id;
  UPDATE question_pool SET slot = (SELECT -slot FROM question_pool WHERE question_id = NEW.id)
  WHERE slot = (
    SELECT (question_cells.id << 32) + question_cells.size
    FROM question_pool JOIN question_cells ON question_cells.id = -question_pool.slot >> 32
    WHERE question_pool.question_id = NEW.id);
  DELETE FROM question_cells
  WHERE size = 0 AND id = (SELECT -slot >> 32 FROM question_pool WHERE question_id = NEW.id);
  DELETE FROM question_pool WHERE question_id = NEW.id;

  INSERT INTO question_cells (exam_id, objective_id, difficulty, size)
  SELECT NEW.exam_id, NEW.objective_id, coalesce(NEW.difficulty, 0), 0
  WHERE NEW.is_active = 1 AND NEW.review_status = 'approved' AND NOT EXISTS (
    SELECT 1 FROM question_cells
    WHERE exam_id = NEW.exam_id AND objective_id = NEW.objective_id AND difficulty = coalesce(NEW.difficulty, 0));
  INSERT INTO question_pool (slot, question_id)
  SELECT (id << 32) + size, NEW.id FROM question_cells
  WHERE exam_id = NEW.exam_id AND objective_id = NEW.objective_id AND difficulty = coalesce(NEW.difficulty, 0)
    AND NEW.is_active = 1 AND NEW.review_status = 'approved';
  UPDATE question_cells SET size = size + 1
  WHERE id = (SELECT slot >> 32 FROM question_pool WHERE question_id = NEW.id);
END;

CREATE TRIGGER question_pool_delete AFTER DELETE ON questions
WHEN EXISTS (SELECT 1 FROM question_pool WHERE question_id = OLD.id)
BEGIN
  UPDATE question_cells SET size = size - 1
  WHERE id = (SELECT slot >> 32 FROM question_pool WHERE question_id = OLD.id);
  UPDATE question_pool SET slot = -slot WHERE question_id = OLD.id;
  UPDATE question_pool SET slot = (SELECT -slot FROM question_pool WHERE question_id = OLD.id)
  WHERE slot = (
    SELECT (question_cells.id << 32) + question_cells.size
    FROM question_pool JOIN question_cells ON question_cells.id = -question_pool.slot >> 32
    WHERE question_pool.question_id = OLD.id);
  DELETE FROM question_cells
  WHERE size = 0 AND id = (SELECT -slot >> 32 FROM question_pool WHERE question_id = OLD.id);
  DELETE FROM question_pool WHERE question_id = OLD.id;
END;

-- First out of the old cell, under the old id; then into the new one. Whose id it takes was replaced, and goes too.
CREATE TRIGGER question_pool_update
AFTER UPDATE OF id, exam_id, objective_id, difficulty, is_active, review_status ON questions
WHEN OLD.id <> NEW.id OR OLD.exam_id <> NEW.exam_id OR OLD.objective_id <> NEW.objective_id
    OR OLD.difficulty IS NOT NEW.difficulty
    OR (OLD.is_active = 1 AND OLD.review_status = 'approved')
        IS NOT (NEW.is_active = 1 AND NEW.review_status = 'approved')
BEGIN
  UPDATE question_cells SET size = size - 1
  WHERE id = (SELECT slot >> 32 FROM question_pool WHERE question_id = OLD.id);
  UPDATE question_pool SET slot = -slot WHERE question_id = OLD.id;
  UPDATE question_pool SET slot = (SELECT -slot FROM question_pool WHERE question_id = OLD.id)
  WHERE slot = (
    SELECT (question_cells.id << 32) + question_cells.size
    FROM question_pool JOIN question_cells ON question_cells.id = -question_pool.slot >> 32
    WHERE question_pool.question_id = OLD.id);
  DELETE FROM question_cells
  WHERE size = 0 AND id = (SELECT -slot >> 32 FROM question_pool WHERE question_id = OLD.id);
  DELETE FROM question_pool WHERE question_id = OLD.id;

  UPDATE question_cells SET size = size - 1
  WHERE id = (SELECT slot >> 32 FROM question_pool WHERE question_id = NEW.id);
  UPDATE question_pool SET slot = -slot WHERE question_id = NEW.id;
  UPDATE question_pool SET slot = (SELECT -slot FROM question_pool WHERE question_id = NEW.id)
  WHERE slot = (
    SELECT (question_cells.id << 32) + question_cells.size
    FROM question_pool JOIN question_cells ON question_cells.id = -question_pool.slot >> 32
    WHERE question_pool.question_id = NEW.id);
  DELETE FROM question_cells
  WHERE size = 0 AND id = (SELECT -slot >> 32 FROM question_pool WHERE question_id = NEW.id);
  DELETE FROM question_pool WHERE question_id = NEW.id;

  INSERT INTO question_cells (exam_id, objective_id, difficulty, size)
  SELECT NEW.exam_id, NEW.objective_id, coalesce(NEW.difficulty, 0), 0
  WHERE NEW.is_active = 1 AND NEW.review_status = 'approved' AND NOT EXISTS (
    SELECT 1 FROM question_cells
    WHERE exam_id = NEW.exam_id AND objective_id = NEW.objective_id AND difficulty = coalesce(NEW.difficulty, 0));
  INSERT INTO question_pool (slot, question_id)
  SELECT (id << 32) + size, NEW.id FROM question_cells
  WHERE exam_id = NEW.exam_id AND objective_id = NEW.objective_id AND difficulty = coalesce(NEW.difficulty, 0)
    AND NEW.is_active = 1 AND NEW.review_status = 'approved';
  UPDATE question_cells SET size = size + 1
  WHERE id = (SELECT slot >> 32 FROM question_pool WHERE question_id = NEW.id);
END;

-- ptp:down

DROP TRIGGER question_pool_update;
DROP TRIGGER question_pool_delete;
DROP TRIGGER question_pool_insert;
DROP TABLE question_pool;
DROP TABLE question_cells;
