CREATE TABLE audit_events (
	number INTEGER PRIMARY KEY,
	tenant TEXT NOT NULL,
	id     TEXT NOT NULL,
	time   INTEGER NOT NULL, -- Unix time in milliseconds
	event  TEXT NOT NULL     -- JSON, with the fields of docs/audit.md
) STRICT;

CREATE UNIQUE INDEX audit_events_by_id ON audit_events (tenant, id);
CREATE INDEX audit_events_by_number ON audit_events (tenant, number DESC);
CREATE INDEX audit_events_by_time ON audit_events (time);
