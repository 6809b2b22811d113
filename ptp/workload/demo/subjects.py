"""Words that demo exams and questions are made of."""

from __future__ import annotations

#: (vendor, code, name) of the demo's exams.
EXAMS = (
    ("aws", "SAA-C03", "Solutions Architect Associate"),
    ("microsoft", "AZ-104", "Azure Administrator Associate"),
    ("comptia", "SY0-701", "Security+"),
    ("cisco", "200-301", "Certified Network Associate"),
    ("google", "ACE", "Associate Cloud Engineer"),
    ("cncf", "CKA", "Certified Kubernetes Administrator"),
    ("hashicorp", "TA-003", "Terraform Associate"),
    ("isc2", "CC", "Certified in Cybersecurity"),
    ("aws", "DVA-C02", "Developer Associate"),
    ("microsoft", "AZ-305", "Azure Solutions Architect Expert"),
)

#: Topics, and for each the terms a question may be about, with what each one does.
TOPICS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("Identity and access", (
        ("role-based access control", "grants rights through roles instead of to each person"),
        ("multi-factor authentication", "asks for a second proof of identity"),
        ("single sign-on", "lets one login serve many applications"),
        ("a least-privilege policy", "allows only the actions that a task needs"),
        ("short-lived credentials", "expire before a leaked copy is of use"),
        ("attribute-based access control", "decides from tags on the user and on the resource"),
    )),
    ("Networking", (
        ("a private subnet", "keeps hosts unreachable from the internet"),
        ("a site-to-site VPN", "encrypts traffic between two networks"),
        ("network address translation", "lets private hosts open outbound connections"),
        ("a stateful firewall", "admits replies to connections it has seen open"),
        ("anycast routing", "sends each client to the nearest site"),
        ("a peering connection", "joins two networks without a gateway"),
    )),
    ("Storage", (
        ("object storage with versioning", "keeps earlier copies of every object"),
        ("a lifecycle rule", "moves old data to a cheaper class by itself"),
        ("block storage snapshots", "capture a volume at a point in time"),
        ("a shared file system", "is mounted by many hosts at once"),
        ("cross-region replication", "copies each write to a second region"),
        ("write-once retention", "refuses deletion until a date has passed"),
    )),
    ("Compute", (
        ("an auto scaling group", "adds and removes instances with demand"),
        ("serverless functions", "run code only when an event arrives"),
        ("reserved capacity", "trades a commitment for a lower hourly price"),
        ("spot instances", "use spare capacity that may be withdrawn"),
        ("a container orchestrator", "restarts failed workloads on healthy nodes"),
        ("a placement group", "keeps instances close for low latency"),
    )),
    ("Resilience", (
        ("a multi-zone deployment", "survives the loss of one data centre"),
        ("a circuit breaker", "stops calls to a dependency that is failing"),
        ("health checks", "take unhealthy targets out of rotation"),
        ("a warm standby", "can take over within minutes"),
        ("exponential backoff", "spreads retries so that they do not pile up"),
        ("a dead-letter queue", "keeps messages that could not be handled"),
    )),
    ("Monitoring", (
        ("distributed tracing", "follows one request across services"),
        ("structured logging", "makes every entry searchable by field"),
        ("an alarm on error rate", "calls someone when requests start to fail"),
        ("synthetic probes", "test the service from outside at intervals"),
        ("an audit trail", "records who changed what, and when"),
        ("a metric filter", "turns matching log lines into numbers"),
    )),
    ("Data protection", (
        ("customer-managed keys", "leave control of the key with its owner"),
        ("encryption in transit", "protects data on the wire"),
        ("tokenisation", "replaces a value by a stand-in of no use to a thief"),
        ("data loss prevention", "stops sensitive records from leaving"),
        ("key rotation", "limits how much one key can expose"),
        ("an immutable backup", "cannot be altered by ransomware"),
    )),
    ("Automation", (
        ("infrastructure as code", "makes every environment from the same text"),
        ("a deployment pipeline", "tests each change before it is released"),
        ("configuration drift detection", "reports what was changed by hand"),
        ("a canary release", "shows a change to a few users first"),
        ("a remote state backend", "lets a team share one view of what exists"),
        ("policy as code", "refuses a change that breaks a rule"),
    )),
)  # fmt: skip

COMPANIES = (
    "A regional bank", "A hospital group", "Müller & Söhne, a parts supplier,", "A video streaming start-up",
    "An online grocer", "Łódź Freight", "A university", "A city's transport office", "A mobile game studio",
    "Café Andaluz, a restaurant chain,", "An insurance broker", "A non-profit in São Paulo",
)  # fmt: skip
SITUATIONS = (
    "serves {n} users from a single site and has had two outages this quarter",
    "is moving {n} workloads out of its own data centre",
    "found during an audit that {n} accounts have more rights than they use",
    "must keep {n} records for seven years at the lowest price",
    "sees traffic grow to {n} times its usual level every Friday evening",
    "has {n} engineers who all deploy to the same environment",
    "was told by its regulator to show who read {n} customer files",
    "loses about {n} orders a day to requests that time out",
)
CONSTRAINTS = (
    "with the least operational effort", "without changing the application", "within the current budget",
    "before the end of the month", "while meeting a recovery time of one hour", "without public addresses",
    "and prove it to an auditor", "with no planned downtime",
)  # fmt: skip
ASKS = {
    "multiple_choice": "Which solution meets the requirement {c}?",
    "multi_select": "Which TWO measures together meet the requirement {c}?",
    "true_false": "The team proposes {term} {c}. Does the proposal meet the requirement?",
    "drag_drop": "Drag the right component to the empty place in the design {c}.",
    "hotspot": "Select the part of the design that must change {c}.",
}
