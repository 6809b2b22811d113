-- The schema at head. Generated from the steps by tools/write_schema.py: do not edit.

CREATE TABLE exams (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  vendor_id TEXT NOT NULL,
  code TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT,
  passing_score REAL DEFAULT (0.65),
  question_count INTEGER DEFAULT 65,
  time_limit_minutes INTEGER DEFAULT 90,
  version TEXT,
  expires_at INTEGER,
  difficulty_level INTEGER DEFAULT 3,
  prerequisites TEXT,
  price_cents INTEGER DEFAULT 0,
  is_active INTEGER DEFAULT 1,
  is_beta INTEGER DEFAULT 0,
  total_attempts INTEGER DEFAULT 0,
  pass_rate REAL DEFAULT 0,
  avg_score REAL DEFAULT 0,
  created_at INTEGER DEFAULT (unixepoch()),
  updated_at INTEGER DEFAULT (unixepoch()),
  UNIQUE (vendor_id, code),
  CONSTRAINT ck_exams_passing_score CHECK (passing_score BETWEEN 0 AND 1),
  CONSTRAINT ck_exams_expires_at CHECK (expires_at BETWEEN 0 AND 4102444799),
  CONSTRAINT ck_exams_difficulty_level CHECK (difficulty_level BETWEEN 1 AND 5),
  CONSTRAINT ck_exams_prerequisites CHECK (prerequisites IS NULL OR json_valid(prerequisites)),
  CONSTRAINT ck_exams_is_active CHECK (is_active IN (0, 1)),
  CONSTRAINT ck_exams_is_beta CHECK (is_beta IN (0, 1)),
  CONSTRAINT ck_exams_created_at CHECK (created_at BETWEEN 0 AND 4102444799),
  CONSTRAINT ck_exams_updated_at CHECK (updated_at BETWEEN 0 AND 4102444799)
) STRICT;

CREATE TABLE growth_metrics (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  date TEXT NOT NULL,
  followers_count INTEGER,
  following_count INTEGER,
  new_followers INTEGER,
  lost_followers INTEGER,
  tweets_sent INTEGER,
  engagements_made INTEGER,
  impressions INTEGER,
  profile_visits INTEGER,
  engagement_rate REAL,
  ai_costs REAL,
  created_at INTEGER DEFAULT (unixepoch()),
  UNIQUE (date),
  CONSTRAINT ck_growth_metrics_date CHECK (date IS date(date, '+0 days')),
  CONSTRAINT ck_growth_metrics_created_at CHECK (created_at BETWEEN 0 AND 4102444799)
) STRICT;

CREATE TABLE twitter_accounts (
  id TEXT NOT NULL,
  username TEXT NOT NULL,
  display_name TEXT,
  bio TEXT,
  followers_count INTEGER DEFAULT 0,
  following_count INTEGER DEFAULT 0,
  tweet_count INTEGER DEFAULT 0,
  is_own_account INTEGER DEFAULT 0,
  is_competitor INTEGER DEFAULT 0,
  is_target_audience INTEGER DEFAULT 0,
  last_analyzed_at INTEGER,
  created_at INTEGER DEFAULT (unixepoch()),
  updated_at INTEGER DEFAULT (unixepoch()),
  PRIMARY KEY (id),
  UNIQUE (username),
  CONSTRAINT ck_twitter_accounts_is_own_account CHECK (is_own_account IN (0, 1)),
  CONSTRAINT ck_twitter_accounts_is_competitor CHECK (is_competitor IN (0, 1)),
  CONSTRAINT ck_twitter_accounts_is_target_audience CHECK (is_target_audience IN (0, 1)),
  CONSTRAINT ck_twitter_accounts_last_analyzed_at CHECK (last_analyzed_at BETWEEN 0 AND 4102444799),
  CONSTRAINT ck_twitter_accounts_created_at CHECK (created_at BETWEEN 0 AND 4102444799),
  CONSTRAINT ck_twitter_accounts_updated_at CHECK (updated_at BETWEEN 0 AND 4102444799)
) STRICT;

CREATE TABLE users (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  email TEXT NOT NULL,
  name TEXT NOT NULL,
  picture TEXT,
  provider TEXT DEFAULT 'google',
  provider_id TEXT,
  password_hash TEXT,
  role TEXT DEFAULT 'user',
  permissions TEXT DEFAULT '[]',
  subscription_status TEXT DEFAULT 'free',
  subscription_expires_at INTEGER,
  stripe_customer_id TEXT,
  stripe_subscription_id TEXT,
  bio TEXT,
  timezone TEXT DEFAULT 'UTC',
  preferred_language TEXT DEFAULT 'en',
  last_login INTEGER,
  login_count INTEGER DEFAULT 0,
  is_active INTEGER DEFAULT 1,
  email_verified INTEGER DEFAULT 0,
  created_at INTEGER DEFAULT (unixepoch()),
  updated_at INTEGER DEFAULT (unixepoch()),
  UNIQUE (email),
  CONSTRAINT ck_users_provider CHECK (provider IN ('google', 'email')),
  CONSTRAINT ck_users_role CHECK (role IN ('user', 'admin', 'moderator')),
  CONSTRAINT ck_users_permissions CHECK (permissions IS NULL OR json_valid(permissions)),
  CONSTRAINT ck_users_subscription_status CHECK (subscription_status IN ('free', 'premium', 'enterprise')),
  CONSTRAINT ck_users_subscription_expires_at CHECK (subscription_expires_at BETWEEN 0 AND 4102444799),
  CONSTRAINT ck_users_last_login CHECK (last_login BETWEEN 0 AND 4102444799),
  CONSTRAINT ck_users_is_active CHECK (is_active IN (0, 1)),
  CONSTRAINT ck_users_email_verified CHECK (email_verified IN (0, 1)),
  CONSTRAINT ck_users_created_at CHECK (created_at BETWEEN 0 AND 4102444799),
  CONSTRAINT ck_users_updated_at CHECK (updated_at BETWEEN 0 AND 4102444799)
) STRICT;

CREATE TABLE audit_log (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER,
  ip_address TEXT,
  user_agent TEXT,
  session_id TEXT,
  action TEXT NOT NULL,
  entity_type TEXT,
  entity_id TEXT,
  old_values TEXT,
  new_values TEXT,
  metadata TEXT,
  request_id TEXT,
  method TEXT,
  path TEXT,
  success INTEGER DEFAULT 1,
  error_code TEXT,
  error_message TEXT,
  created_at INTEGER DEFAULT (unixepoch()),
  FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE SET NULL,
  CONSTRAINT ck_audit_log_old_values CHECK (old_values IS NULL OR json_valid(old_values)),
  CONSTRAINT ck_audit_log_new_values CHECK (new_values IS NULL OR json_valid(new_values)),
  CONSTRAINT ck_audit_log_metadata CHECK (metadata IS NULL OR json_valid(metadata)),
  CONSTRAINT ck_audit_log_success CHECK (success IN (0, 1)),
  CONSTRAINT ck_audit_log_created_at CHECK (created_at BETWEEN 0 AND 4102444799)
) STRICT;

CREATE TABLE objectives (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  exam_id INTEGER NOT NULL,
  code TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT,
  weight REAL DEFAULT (0.25),
  question_percentage REAL,
  parent_id INTEGER,
  sort_order INTEGER DEFAULT 0,
  is_active INTEGER DEFAULT 1,
  created_at INTEGER DEFAULT (unixepoch()),
  FOREIGN KEY(exam_id) REFERENCES exams (id) ON DELETE CASCADE,
  FOREIGN KEY(parent_id) REFERENCES objectives (id) ON DELETE CASCADE,
  CONSTRAINT ck_objectives_weight CHECK (weight BETWEEN 0 AND 1),
  CONSTRAINT ck_objectives_is_active CHECK (is_active IN (0, 1)),
  CONSTRAINT ck_objectives_created_at CHECK (created_at BETWEEN 0 AND 4102444799)
) STRICT;

CREATE TABLE study_sessions (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL,
  exam_id INTEGER NOT NULL,
  mode TEXT DEFAULT 'practice',
  objectives TEXT,
  difficulty_filter TEXT,
  question_count INTEGER DEFAULT 20,
  total_questions INTEGER DEFAULT 0,
  correct_answers INTEGER DEFAULT 0,
  skipped_questions INTEGER DEFAULT 0,
  flagged_questions INTEGER DEFAULT 0,
  time_spent_seconds INTEGER DEFAULT 0,
  avg_time_per_question REAL,
  accuracy REAL,
  streak_count INTEGER DEFAULT 0,
  max_streak INTEGER DEFAULT 0,
  objective_scores TEXT DEFAULT '{}',
  status TEXT DEFAULT 'active',
  current_question_id INTEGER,
  created_at INTEGER DEFAULT (unixepoch()),
  last_activity INTEGER DEFAULT (unixepoch()),
  completed_at INTEGER,
  FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
  FOREIGN KEY(exam_id) REFERENCES exams (id) ON DELETE CASCADE,
  CONSTRAINT ck_study_sessions_mode CHECK (mode IN ('practice', 'review', 'speed_drill', 'weak_areas', 'custom')),
  CONSTRAINT ck_study_sessions_objectives CHECK (objectives IS NULL OR json_valid(objectives)),
  CONSTRAINT ck_study_sessions_difficulty_filter CHECK (difficulty_filter IS NULL OR json_valid(difficulty_filter)),
  CONSTRAINT ck_study_sessions_objective_scores CHECK (objective_scores IS NULL OR json_valid(objective_scores)),
  CONSTRAINT ck_study_sessions_status CHECK (status IN ('active', 'paused', 'completed', 'abandoned')),
  CONSTRAINT ck_study_sessions_created_at CHECK (created_at BETWEEN 0 AND 4102444799),
  CONSTRAINT ck_study_sessions_last_activity CHECK (last_activity BETWEEN 0 AND 4102444799),
  CONSTRAINT ck_study_sessions_completed_at CHECK (completed_at BETWEEN 0 AND 4102444799)
) STRICT;

CREATE TABLE test_attempts (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL,
  exam_id INTEGER NOT NULL,
  question_ids TEXT NOT NULL,
  time_limit_minutes INTEGER,
  passing_score REAL,
  score REAL,
  passed INTEGER,
  correct_count INTEGER,
  incorrect_count INTEGER,
  skipped_count INTEGER,
  objective_breakdown TEXT,
  total_time_seconds INTEGER,
  time_per_question TEXT,
  review_enabled INTEGER DEFAULT 1,
  certificate_issued INTEGER DEFAULT 0,
  status TEXT DEFAULT 'in_progress',
  started_at INTEGER DEFAULT (unixepoch()),
  completed_at INTEGER,
  expires_at INTEGER,
  FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
  FOREIGN KEY(exam_id) REFERENCES exams (id) ON DELETE CASCADE,
  CONSTRAINT ck_test_attempts_question_ids CHECK (question_ids IS NULL OR json_valid(question_ids)),
  CONSTRAINT ck_test_attempts_passed CHECK (passed IN (0, 1)),
  CONSTRAINT ck_test_attempts_objective_breakdown CHECK (objective_breakdown IS NULL OR json_valid(objective_breakdown)),
  CONSTRAINT ck_test_attempts_time_per_question CHECK (time_per_question IS NULL OR json_valid(time_per_question)),
  CONSTRAINT ck_test_attempts_review_enabled CHECK (review_enabled IN (0, 1)),
  CONSTRAINT ck_test_attempts_certificate_issued CHECK (certificate_issued IN (0, 1)),
  CONSTRAINT ck_test_attempts_status CHECK (status IN ('in_progress', 'completed', 'abandoned', 'invalidated')),
  CONSTRAINT ck_test_attempts_started_at CHECK (started_at BETWEEN 0 AND 4102444799),
  CONSTRAINT ck_test_attempts_completed_at CHECK (completed_at BETWEEN 0 AND 4102444799),
  CONSTRAINT ck_test_attempts_expires_at CHECK (expires_at BETWEEN 0 AND 4102444799)
) STRICT;

CREATE TABLE tweets (
  id TEXT NOT NULL,
  account_id TEXT NOT NULL,
  text TEXT NOT NULL,
  metrics TEXT,
  entities TEXT,
  ai_analysis TEXT,
  created_at INTEGER,
  analyzed_at INTEGER,
  PRIMARY KEY (id),
  FOREIGN KEY(account_id) REFERENCES twitter_accounts (id),
  CONSTRAINT ck_tweets_metrics CHECK (metrics IS NULL OR json_valid(metrics)),
  CONSTRAINT ck_tweets_entities CHECK (entities IS NULL OR json_valid(entities)),
  CONSTRAINT ck_tweets_ai_analysis CHECK (ai_analysis IS NULL OR json_valid(ai_analysis)),
  CONSTRAINT ck_tweets_created_at CHECK (created_at BETWEEN 0 AND 4102444799),
  CONSTRAINT ck_tweets_analyzed_at CHECK (analyzed_at BETWEEN 0 AND 4102444799)
) STRICT;

CREATE TABLE user_progress (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL,
  exam_id INTEGER NOT NULL,
  total_questions_seen INTEGER DEFAULT 0,
  unique_questions_seen INTEGER DEFAULT 0,
  total_correct INTEGER DEFAULT 0,
  total_incorrect INTEGER DEFAULT 0,
  overall_accuracy REAL DEFAULT 0,
  current_streak INTEGER DEFAULT 0,
  longest_streak INTEGER DEFAULT 0,
  avg_time_per_question REAL,
  total_study_minutes INTEGER DEFAULT 0,
  last_study_date TEXT,
  study_days_count INTEGER DEFAULT 0,
  objective_mastery TEXT DEFAULT '{}',
  readiness_score REAL DEFAULT 0,
  predicted_exam_score REAL,
  confidence_interval REAL,
  weak_topics TEXT DEFAULT '[]',
  recommended_objectives TEXT DEFAULT '[]',
  tests_taken INTEGER DEFAULT 0,
  tests_passed INTEGER DEFAULT 0,
  best_score REAL DEFAULT 0,
  avg_test_score REAL DEFAULT 0,
  last_test_date TEXT,
  created_at INTEGER DEFAULT (unixepoch()),
  updated_at INTEGER DEFAULT (unixepoch()),
  UNIQUE (user_id, exam_id),
  FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
  FOREIGN KEY(exam_id) REFERENCES exams (id) ON DELETE CASCADE,
  CONSTRAINT ck_user_progress_last_study_date CHECK (last_study_date IS date(last_study_date, '+0 days')),
  CONSTRAINT ck_user_progress_objective_mastery CHECK (objective_mastery IS NULL OR json_valid(objective_mastery)),
  CONSTRAINT ck_user_progress_weak_topics CHECK (weak_topics IS NULL OR json_valid(weak_topics)),
  CONSTRAINT ck_user_progress_recommended_objectives CHECK (recommended_objectives IS NULL OR json_valid(recommended_objectives)),
  CONSTRAINT ck_user_progress_last_test_date CHECK (last_test_date IS date(last_test_date, '+0 days')),
  CONSTRAINT ck_user_progress_created_at CHECK (created_at BETWEEN 0 AND 4102444799),
  CONSTRAINT ck_user_progress_updated_at CHECK (updated_at BETWEEN 0 AND 4102444799)
) STRICT;

CREATE TABLE ai_generation_log (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  purpose TEXT NOT NULL,
  model TEXT NOT NULL,
  prompt_tokens INTEGER,
  completion_tokens INTEGER,
  total_tokens INTEGER,
  cost_cents REAL,
  exam_id INTEGER,
  objective_id INTEGER,
  question_ids TEXT,
  tweet_id TEXT,
  opportunity_id TEXT,
  success INTEGER DEFAULT 1,
  error_message TEXT,
  generation_time_ms INTEGER,
  request_id TEXT,
  user_id INTEGER,
  ip_address TEXT,
  user_agent TEXT,
  created_at INTEGER DEFAULT (unixepoch()),
  FOREIGN KEY(exam_id) REFERENCES exams (id) ON DELETE SET NULL,
  FOREIGN KEY(objective_id) REFERENCES objectives (id) ON DELETE SET NULL,
  FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE SET NULL,
  CONSTRAINT ck_ai_generation_log_question_ids CHECK (question_ids IS NULL OR json_valid(question_ids)),
  CONSTRAINT ck_ai_generation_log_success CHECK (success IN (0, 1)),
  CONSTRAINT ck_ai_generation_log_created_at CHECK (created_at BETWEEN 0 AND 4102444799)
) STRICT;

CREATE TABLE engagement_opportunities (
  id TEXT DEFAULT (lower(hex(randomblob(16)))) NOT NULL,
  tweet_id TEXT NOT NULL,
  account_id TEXT NOT NULL,
  opportunity_type TEXT,
  relevance_score REAL,
  suggested_response TEXT,
  ai_model_used TEXT,
  ai_cost REAL,
  status TEXT DEFAULT 'pending',
  executed_at INTEGER,
  created_at INTEGER DEFAULT (unixepoch()),
  PRIMARY KEY (id),
  FOREIGN KEY(tweet_id) REFERENCES tweets (id),
  FOREIGN KEY(account_id) REFERENCES twitter_accounts (id),
  CONSTRAINT ck_engagement_opportunities_opportunity_type CHECK (opportunity_type IN ('reply', 'quote', 'follow')),
  CONSTRAINT ck_engagement_opportunities_status CHECK (status IN ('pending', 'approved', 'rejected', 'executed')),
  CONSTRAINT ck_engagement_opportunities_executed_at CHECK (executed_at BETWEEN 0 AND 4102444799),
  CONSTRAINT ck_engagement_opportunities_created_at CHECK (created_at BETWEEN 0 AND 4102444799)
) STRICT;

CREATE TABLE questions (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  exam_id INTEGER NOT NULL,
  objective_id INTEGER NOT NULL,
  text TEXT NOT NULL,
  type TEXT DEFAULT 'multiple_choice',
  answers TEXT NOT NULL,
  explanation TEXT,
  reference TEXT,
  external_link TEXT,
  difficulty INTEGER DEFAULT 3,
  tags TEXT DEFAULT '[]',
  ai_generated INTEGER DEFAULT 0,
  ai_model TEXT,
  ai_prompt_version TEXT,
  ai_confidence_score REAL,
  review_status TEXT DEFAULT 'pending',
  reviewed_by INTEGER,
  reviewed_at INTEGER,
  total_attempts INTEGER DEFAULT 0,
  correct_attempts INTEGER DEFAULT 0,
  avg_time_seconds INTEGER DEFAULT 0,
  discrimination_index REAL,
  image_url TEXT,
  diagram_data TEXT,
  is_active INTEGER DEFAULT 1,
  is_beta INTEGER DEFAULT 0,
  created_at INTEGER DEFAULT (unixepoch()),
  updated_at INTEGER DEFAULT (unixepoch()),
  total_time_seconds INTEGER,
  FOREIGN KEY(exam_id) REFERENCES exams (id) ON DELETE CASCADE,
  FOREIGN KEY(objective_id) REFERENCES objectives (id) ON DELETE CASCADE,
  FOREIGN KEY(reviewed_by) REFERENCES users (id) ON DELETE SET NULL,
  CONSTRAINT ck_questions_type CHECK (type IN ('multiple_choice', 'multi_select', 'true_false', 'drag_drop', 'hotspot')),
  CONSTRAINT ck_questions_answers CHECK (answers IS NULL OR json_valid(answers)),
  CONSTRAINT ck_questions_difficulty CHECK (difficulty BETWEEN 1 AND 5),
  CONSTRAINT ck_questions_tags CHECK (tags IS NULL OR json_valid(tags)),
  CONSTRAINT ck_questions_ai_generated CHECK (ai_generated IN (0, 1)),
  CONSTRAINT ck_questions_review_status CHECK (review_status IN ('pending', 'approved', 'rejected', 'needs_revision')),
  CONSTRAINT ck_questions_reviewed_at CHECK (reviewed_at BETWEEN 0 AND 4102444799),
  CONSTRAINT ck_questions_diagram_data CHECK (diagram_data IS NULL OR json_valid(diagram_data)),
  CONSTRAINT ck_questions_is_active CHECK (is_active IN (0, 1)),
  CONSTRAINT ck_questions_is_beta CHECK (is_beta IN (0, 1)),
  CONSTRAINT ck_questions_created_at CHECK (created_at BETWEEN 0 AND 4102444799),
  CONSTRAINT ck_questions_updated_at CHECK (updated_at BETWEEN 0 AND 4102444799)
) STRICT;

CREATE TABLE user_answers (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL,
  question_id INTEGER NOT NULL,
  study_session_id INTEGER,
  test_attempt_id INTEGER,
  selected_answer TEXT NOT NULL,
  is_correct INTEGER NOT NULL,
  time_spent_seconds INTEGER,
  confidence_level INTEGER,
  flagged INTEGER DEFAULT 0,
  changed_answer INTEGER DEFAULT 0,
  attempt_number INTEGER DEFAULT 1,
  days_since_last_seen INTEGER,
  answered_at INTEGER DEFAULT (unixepoch()),
  request_key TEXT,
  FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
  FOREIGN KEY(question_id) REFERENCES questions (id) ON DELETE CASCADE,
  FOREIGN KEY(study_session_id) REFERENCES study_sessions (id) ON DELETE CASCADE,
  FOREIGN KEY(test_attempt_id) REFERENCES test_attempts (id) ON DELETE CASCADE,
  CONSTRAINT ck_user_answers_is_correct CHECK (is_correct IN (0, 1)),
  CONSTRAINT ck_user_answers_confidence_level CHECK (confidence_level BETWEEN 1 AND 5),
  CONSTRAINT ck_user_answers_flagged CHECK (flagged IN (0, 1)),
  CONSTRAINT ck_user_answers_changed_answer CHECK (changed_answer IN (0, 1)),
  CONSTRAINT ck_user_answers_answered_at CHECK (answered_at BETWEEN 0 AND 4102444799)
) STRICT;

CREATE INDEX idx_users_provider ON users (provider, provider_id) WHERE provider_id IS NOT NULL;

CREATE INDEX idx_users_stripe ON users (stripe_customer_id) WHERE stripe_customer_id IS NOT NULL;

CREATE INDEX idx_audit_created ON audit_log (created_at);

CREATE INDEX idx_audit_entity ON audit_log (entity_type, entity_id);

CREATE INDEX idx_audit_user ON audit_log (user_id) WHERE user_id IS NOT NULL;

CREATE INDEX idx_objectives_exam ON objectives (exam_id);

CREATE INDEX idx_objectives_parent ON objectives (parent_id) WHERE parent_id IS NOT NULL;

CREATE INDEX idx_sessions_activity ON study_sessions (user_id, last_activity);

CREATE INDEX idx_sessions_exam ON study_sessions (exam_id);

CREATE INDEX idx_attempts_exam ON test_attempts (exam_id);

CREATE INDEX idx_attempts_user ON test_attempts (user_id);

CREATE INDEX idx_tweets_account ON tweets (account_id);

CREATE INDEX idx_progress_exam ON user_progress (exam_id);

CREATE INDEX idx_progress_leaderboard ON user_progress (exam_id, readiness_score DESC, overall_accuracy DESC, user_id) WHERE total_questions_seen > 50;

CREATE INDEX idx_ai_log_created ON ai_generation_log (created_at);

CREATE INDEX idx_ai_log_exam ON ai_generation_log (exam_id) WHERE exam_id IS NOT NULL;

CREATE INDEX idx_ai_log_objective ON ai_generation_log (objective_id) WHERE objective_id IS NOT NULL;

CREATE INDEX idx_ai_log_user ON ai_generation_log (user_id) WHERE user_id IS NOT NULL;

CREATE INDEX idx_opportunities_account ON engagement_opportunities (account_id);

CREATE INDEX idx_opportunities_pending ON engagement_opportunities (status, relevance_score DESC, id) WHERE status = 'pending';

CREATE INDEX idx_opportunities_tweet ON engagement_opportunities (tweet_id);

CREATE INDEX idx_questions_exam ON questions (exam_id);

CREATE INDEX idx_questions_hardest ON questions (exam_id, correct_attempts * 1.0 / total_attempts) WHERE total_attempts > 10;

CREATE INDEX idx_questions_objective ON questions (objective_id);

CREATE INDEX idx_questions_reviewer ON questions (reviewed_by) WHERE reviewed_by IS NOT NULL;

CREATE INDEX idx_questions_weak ON questions (exam_id, objective_id, difficulty, correct_attempts * 1.0 / total_attempts) WHERE is_active = 1 AND review_status = 'approved' AND correct_attempts * 1.0 / total_attempts IS NOT NULL;

CREATE INDEX idx_answers_attempt ON user_answers (test_attempt_id) WHERE test_attempt_id IS NOT NULL;

CREATE INDEX idx_answers_question ON user_answers (question_id, user_id, answered_at);

CREATE UNIQUE INDEX idx_answers_request ON user_answers (user_id, request_key) WHERE request_key IS NOT NULL;

CREATE INDEX idx_answers_session ON user_answers (study_session_id) WHERE study_session_id IS NOT NULL;

CREATE INDEX idx_answers_user_time ON user_answers (user_id, answered_at);

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
