-- The shape `raw`: the platform's database before the typed schema, 8 tables.
-- Times are text 'YYYY-MM-DD HH:MM:SS' in UTC, booleans 0 and 1, lists and objects JSON text.
-- Used to write demo sources and in tests; tests/schema/test_shapes.py holds it to the facts.

CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    picture TEXT,
    provider TEXT DEFAULT 'google' CHECK (provider IN ('google', 'email')),
    provider_id TEXT,
    password_hash TEXT,
    role TEXT DEFAULT 'user' CHECK (role IN ('user', 'admin', 'moderator')),
    permissions TEXT DEFAULT '[]',
    subscription_status TEXT DEFAULT 'free' CHECK (subscription_status IN ('free', 'premium', 'enterprise')),
    subscription_expires_at TIMESTAMP,
    stripe_customer_id TEXT,
    stripe_subscription_id TEXT,
    bio TEXT,
    timezone TEXT DEFAULT 'UTC',
    preferred_language TEXT DEFAULT 'en',
    last_login TIMESTAMP,
    login_count INTEGER DEFAULT 0,
    is_active BOOLEAN DEFAULT 1,
    email_verified BOOLEAN DEFAULT 0,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX idx_users_email ON users (email);
CREATE INDEX idx_users_provider ON users (provider, provider_id);
CREATE INDEX idx_users_stripe ON users (stripe_customer_id);

CREATE TABLE exams (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    vendor_id TEXT NOT NULL,
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    passing_score REAL DEFAULT 0.65 CHECK (passing_score BETWEEN 0 AND 1),
    question_count INTEGER DEFAULT 65,
    time_limit_minutes INTEGER DEFAULT 90,
    version TEXT,
    expires_at TIMESTAMP,
    difficulty_level INTEGER DEFAULT 3 CHECK (difficulty_level BETWEEN 1 AND 5),
    prerequisites TEXT,
    price_cents INTEGER DEFAULT 0,
    is_active BOOLEAN DEFAULT 1,
    is_beta BOOLEAN DEFAULT 0,
    total_attempts INTEGER DEFAULT 0,
    pass_rate REAL DEFAULT 0,
    avg_score REAL DEFAULT 0,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (vendor_id, code)
);

CREATE INDEX idx_exams_vendor ON exams (vendor_id, is_active);
CREATE INDEX idx_exams_active ON exams (is_active, is_beta);

CREATE TABLE objectives (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    exam_id INTEGER NOT NULL REFERENCES exams (id) ON DELETE CASCADE,
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    weight REAL DEFAULT 0.25 CHECK (weight BETWEEN 0 AND 1),
    question_percentage REAL,
    parent_id INTEGER REFERENCES objectives (id) ON DELETE CASCADE,
    sort_order INTEGER DEFAULT 0,
    is_active BOOLEAN DEFAULT 1,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX idx_objectives_exam ON objectives (exam_id, is_active);
CREATE INDEX idx_objectives_parent ON objectives (parent_id, sort_order);

CREATE TABLE questions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    exam_id INTEGER NOT NULL REFERENCES exams (id) ON DELETE CASCADE,
    objective_id INTEGER NOT NULL REFERENCES objectives (id) ON DELETE CASCADE,
    text TEXT NOT NULL,
    type TEXT DEFAULT 'multiple_choice' CHECK (type IN ('multiple_choice', 'multi_select', 'true_false', 'drag_drop', 'hotspot')),
    answers TEXT NOT NULL,
    explanation TEXT,
    reference TEXT,
    external_link TEXT,
    difficulty INTEGER DEFAULT 3 CHECK (difficulty BETWEEN 1 AND 5),
    tags TEXT DEFAULT '[]',
    ai_generated BOOLEAN DEFAULT 0,
    ai_model TEXT,
    ai_prompt_version TEXT,
    ai_confidence_score REAL,
    review_status TEXT DEFAULT 'pending' CHECK (review_status IN ('pending', 'approved', 'rejected', 'needs_revision')),
    reviewed_by INTEGER REFERENCES users (id) ON DELETE SET NULL,
    reviewed_at TIMESTAMP,
    total_attempts INTEGER DEFAULT 0,
    correct_attempts INTEGER DEFAULT 0,
    avg_time_seconds INTEGER DEFAULT 0,
    discrimination_index REAL,
    image_url TEXT,
    diagram_data TEXT,
    is_active BOOLEAN DEFAULT 1,
    is_beta BOOLEAN DEFAULT 0,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX idx_questions_exam_objective ON questions (exam_id, objective_id, is_active);
CREATE INDEX idx_questions_difficulty ON questions (exam_id, difficulty, is_active);
CREATE INDEX idx_questions_review ON questions (review_status, ai_generated);

CREATE TABLE study_sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    exam_id INTEGER NOT NULL REFERENCES exams (id) ON DELETE CASCADE,
    mode TEXT DEFAULT 'practice' CHECK (mode IN ('practice', 'review', 'speed_drill', 'weak_areas', 'custom')),
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
    status TEXT DEFAULT 'active' CHECK (status IN ('active', 'paused', 'completed', 'abandoned')),
    current_question_id INTEGER,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    last_activity TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    completed_at TIMESTAMP
);

CREATE INDEX idx_sessions_user ON study_sessions (user_id, exam_id, status);
CREATE INDEX idx_sessions_active ON study_sessions (status, last_activity);

CREATE TABLE test_attempts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    exam_id INTEGER NOT NULL REFERENCES exams (id) ON DELETE CASCADE,
    question_ids TEXT NOT NULL,
    time_limit_minutes INTEGER,
    passing_score REAL,
    score REAL,
    passed BOOLEAN,
    correct_count INTEGER,
    incorrect_count INTEGER,
    skipped_count INTEGER,
    objective_breakdown TEXT,
    total_time_seconds INTEGER,
    time_per_question TEXT,
    review_enabled BOOLEAN DEFAULT 1,
    certificate_issued BOOLEAN DEFAULT 0,
    status TEXT DEFAULT 'in_progress' CHECK (status IN ('in_progress', 'completed', 'abandoned', 'invalidated')),
    started_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    completed_at TIMESTAMP,
    expires_at TIMESTAMP
);

CREATE INDEX idx_test_attempts_user ON test_attempts (user_id, exam_id, status);
CREATE INDEX idx_test_attempts_scores ON test_attempts (exam_id, passed, score DESC);

CREATE TABLE user_answers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    question_id INTEGER NOT NULL REFERENCES questions (id) ON DELETE CASCADE,
    study_session_id INTEGER REFERENCES study_sessions (id) ON DELETE CASCADE,
    test_attempt_id INTEGER REFERENCES test_attempts (id) ON DELETE CASCADE,
    selected_answer TEXT NOT NULL,
    is_correct BOOLEAN NOT NULL,
    time_spent_seconds INTEGER,
    confidence_level INTEGER CHECK (confidence_level BETWEEN 1 AND 5),
    flagged BOOLEAN DEFAULT 0,
    changed_answer BOOLEAN DEFAULT 0,
    attempt_number INTEGER DEFAULT 1,
    days_since_last_seen INTEGER,
    answered_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX idx_user_answers_user_question ON user_answers (user_id, question_id, answered_at DESC);
CREATE INDEX idx_user_answers_session ON user_answers (study_session_id);
CREATE INDEX idx_user_answers_test ON user_answers (test_attempt_id);
CREATE INDEX idx_user_answers_recent ON user_answers (user_id, answered_at DESC);

CREATE TABLE user_progress (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    exam_id INTEGER NOT NULL REFERENCES exams (id) ON DELETE CASCADE,
    total_questions_seen INTEGER DEFAULT 0,
    unique_questions_seen INTEGER DEFAULT 0,
    total_correct INTEGER DEFAULT 0,
    total_incorrect INTEGER DEFAULT 0,
    overall_accuracy REAL DEFAULT 0,
    current_streak INTEGER DEFAULT 0,
    longest_streak INTEGER DEFAULT 0,
    avg_time_per_question REAL,
    total_study_minutes INTEGER DEFAULT 0,
    last_study_date DATE,
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
    last_test_date DATE,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (user_id, exam_id)
);

CREATE INDEX idx_user_progress_user ON user_progress (user_id);
CREATE INDEX idx_user_progress_readiness ON user_progress (exam_id, readiness_score DESC);
