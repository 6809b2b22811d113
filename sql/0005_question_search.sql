-- Full-text search of questions. The index holds no text of its own: it reads the questions (external content), so
-- an entry must be taken out with the words under which it was put in. The exam is in it as one more word, so that a
-- search in one exam does not go over the matches of the others.
-- ptp:requires fts5
-- ptp:up

CREATE VIRTUAL TABLE question_search USING fts5 (
  text, explanation, reference, exam_id,
  content = 'questions', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
);

INSERT INTO question_search (question_search) VALUES ('rebuild');

CREATE TRIGGER question_search_insert AFTER INSERT ON questions
BEGIN
  INSERT INTO question_search (rowid, text, explanation, reference, exam_id)
  VALUES (NEW.id, NEW.text, NEW.explanation, NEW.reference, NEW.exam_id);
END;

CREATE TRIGGER question_search_delete AFTER DELETE ON questions
BEGIN
  INSERT INTO question_search (question_search, rowid, text, explanation, reference, exam_id)
  VALUES ('delete', OLD.id, OLD.text, OLD.explanation, OLD.reference, OLD.exam_id);
END;

CREATE TRIGGER question_search_update AFTER UPDATE OF id, text, explanation, reference, exam_id ON questions
BEGIN
  INSERT INTO question_search (question_search, rowid, text, explanation, reference, exam_id)
  VALUES ('delete', OLD.id, OLD.text, OLD.explanation, OLD.reference, OLD.exam_id);
  INSERT INTO question_search (rowid, text, explanation, reference, exam_id)
  VALUES (NEW.id, NEW.text, NEW.explanation, NEW.reference, NEW.exam_id);
END;

-- ptp:down

DROP TRIGGER question_search_update;
DROP TRIGGER question_search_delete;
DROP TRIGGER question_search_insert;
DROP TABLE question_search;
