-- The indexes at head, each for a reason that stands beside it in ptp/schema.
-- ptp:up

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

-- ptp:down

DROP INDEX idx_answers_user_time;
DROP INDEX idx_answers_session;
DROP INDEX idx_answers_request;
DROP INDEX idx_answers_question;
DROP INDEX idx_answers_attempt;
DROP INDEX idx_questions_weak;
DROP INDEX idx_questions_reviewer;
DROP INDEX idx_questions_objective;
DROP INDEX idx_questions_hardest;
DROP INDEX idx_questions_exam;
DROP INDEX idx_opportunities_tweet;
DROP INDEX idx_opportunities_pending;
DROP INDEX idx_opportunities_account;
DROP INDEX idx_ai_log_user;
DROP INDEX idx_ai_log_objective;
DROP INDEX idx_ai_log_exam;
DROP INDEX idx_ai_log_created;
DROP INDEX idx_progress_leaderboard;
DROP INDEX idx_progress_exam;
DROP INDEX idx_tweets_account;
DROP INDEX idx_attempts_user;
DROP INDEX idx_attempts_exam;
DROP INDEX idx_sessions_exam;
DROP INDEX idx_sessions_activity;
DROP INDEX idx_objectives_parent;
DROP INDEX idx_objectives_exam;
DROP INDEX idx_audit_user;
DROP INDEX idx_audit_entity;
DROP INDEX idx_audit_created;
DROP INDEX idx_users_stripe;
DROP INDEX idx_users_provider;
