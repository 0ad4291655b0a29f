-- tenant is the issuer and the organization, or the issuer and the user: see workspace.go.
CREATE TABLE documents (
	tenant  TEXT NOT NULL,
	id      TEXT NOT NULL,
	author  TEXT NOT NULL,
	title   TEXT NOT NULL,
	text    TEXT NOT NULL,
	shared  INTEGER NOT NULL DEFAULT 0,
	version INTEGER NOT NULL DEFAULT 1,
	created INTEGER NOT NULL, -- Unix time in milliseconds
	updated INTEGER NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT;

CREATE INDEX documents_by_time ON documents (tenant, created DESC, id DESC);

-- A tenant with a row here can read its documents and change nothing.
CREATE TABLE suspended (
	tenant TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
