package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// tables are the statements of [SQL]. The trigger runs with the rights of the owner of the
// tables, so that the role of the servers need not be able to change a position.
// Positions have a random ID, so that tables that are created again have other positions.
const tables = `CREATE TABLE IF NOT EXISTS {position} (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	position bigint NOT NULL,
	id uuid NOT NULL
);
INSERT INTO {position} (position, id) VALUES (0, gen_random_uuid()) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS {table} (
	position bigint PRIMARY KEY,
	id uuid NOT NULL,
	after_id uuid NOT NULL,
	issuer text NOT NULL DEFAULT '' CHECK (octet_length(issuer) <= 1024),
	token_id text NOT NULL DEFAULT '' CHECK (octet_length(token_id) <= 1024),
	session_id text NOT NULL DEFAULT '' CHECK (octet_length(session_id) <= 1024),
	subject text NOT NULL DEFAULT '' CHECK (octet_length(subject) <= 1024),
	client_id text NOT NULL DEFAULT '' CHECK (octet_length(client_id) <= 1024),
	organization text NOT NULL DEFAULT '' CHECK (octet_length(organization) <= 1024),
	issued_before timestamptz CHECK (isfinite(issued_before)),
	until timestamptz NOT NULL CHECK (isfinite(until)),
	CHECK (token_id <> '' OR session_id <> '' OR subject <> '' OR client_id <> '')
);

CREATE INDEX IF NOT EXISTS {index} ON {table} USING hash ((token_id || session_id || subject || client_id));

CREATE OR REPLACE FUNCTION {function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	EXECUTE format('SELECT id FROM %I.%I FOR UPDATE', TG_TABLE_SCHEMA, TG_TABLE_NAME || '_position') INTO NEW.after_id;
	EXECUTE format('UPDATE %I.%I SET position = position + 1, id = gen_random_uuid() RETURNING position, id',
		TG_TABLE_SCHEMA, TG_TABLE_NAME || '_position') INTO NEW.position, NEW.id;
	PERFORM pg_notify(TG_TABLE_NAME, '');
	RETURN NEW;
END $$;
REVOKE EXECUTE ON FUNCTION {function}() FROM PUBLIC;
DROP TRIGGER IF EXISTS {trigger} ON {table};
CREATE TRIGGER {trigger} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {function}();
`

// SQL returns the statements that create the tables, for a migration tool. They can be run again.
// An empty name means [DefaultTable]. A schema in the name must exist.
func SQL(table string) (string, error) {
	n, err := nameOf(table)
	if err != nil {
		return "", err
	}
	return n.sql(tables), nil
}

// Grants returns the statements that give a role what the servers need. A role that only
// watches, because no server with it calls Deny, needs SELECT alone.
func Grants(table, role string) (string, error) {
	n, err := nameOf(table)
	if err != nil {
		return "", err
	}
	to := " TO " + pgx.Identifier{role}.Sanitize() + ";\n"
	out := "GRANT SELECT, INSERT, DELETE ON " + n.quoted("") + to + "GRANT SELECT ON " + n.quoted("_position") + to
	if n.schema != "" {
		out = "GRANT USAGE ON SCHEMA " + pgx.Identifier{n.schema}.Sanitize() + to + out
	}
	return out, nil
}

// CreateTables creates the tables, unless they exist. db is a *pgx.Conn or a *pgxpool.Pool, of a
// role that may create tables.
func CreateTables(ctx context.Context, db interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
}, table string) error {
	statements, err := SQL(table)
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, statements)
	return hintCreating(err)
}
