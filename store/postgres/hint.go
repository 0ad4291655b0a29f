package postgres

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Codes of PostgreSQL (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const (
	insufficientPrivilege = "42501"
	readOnlyTransaction   = "25006"
	invalidSchemaName     = "3F000"
	undefinedFunction     = "42883"
)

const createTables = "run the statements of postgres.SQL, or postgres.CreateTables"

// fixes say what to do about the errors with a code.
var fixes = map[string]string{
	"42P01":               "create the tables: " + createTables, // undefined_table
	invalidSchemaName:     "create the tables: " + createTables,
	"42703":               "a table of this name is not one of Gatehouse; set another Table",                             // undefined_column
	"23502":               "the trigger or the row of the position is missing; " + createTables + ", to create it again", // not_null_violation
	insufficientPrivilege: "run the statements of postgres.Grants as the owner of the tables",
	readOnlyTransaction:   "connect to the primary server as a role that may write: add target_session_attrs=read-write to the connection string",
	"28P01":               "correct the user and the password in the connection string",                                                    // invalid_password
	"28000":               "correct the user and sslmode in the connection string, or allow the connection in pg_hba.conf of the server",   // invalid_authorization_specification
	"3D000":               "correct the database in the connection string, or create it",                                                   // invalid_catalog_name
	"53300":               "raise the limit of connections of the server or of the role, or lower pool_max_conns in the connection string", // too_many_connections
	"22P05":               "the encoding of the database does not have the character; use a database with the encoding UTF8",               // untranslatable_character
	"26000":               "a pooler shares the connection; set default_query_exec_mode=exec in the connection string",                     // invalid_sql_statement_name
	"42P05":               "a pooler shares the connection; set default_query_exec_mode=exec in the connection string",                     // duplicate_prepared_statement
}

// hint adds to an error what to do.
func hint(err error) error {
	var e *pgconn.PgError
	var unknown x509.UnknownAuthorityError
	fix := ""
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		fix = fixes[e.Code]
	case errors.As(err, &unknown):
		fix = "set sslrootcert in the connection string to a file with the certificate of the authority that signed the server's"
	case errors.Is(err, pgx.ErrNoRows):
		fix = "the row of the position is missing; " + createTables + ", to create it again"
	case strings.Contains(err.Error(), "server refused TLS connection"):
		fix = "turn on ssl in postgresql.conf of the server, or set sslmode=disable in the connection string if the network is trusted"
	}
	if fix == "" {
		return err
	}
	return fmt.Errorf("%w; %s", err, fix)
}

// hintCreating is hint for [CreateTables].
func hintCreating(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return hint(err)
	}
	switch e.Code {
	case insufficientPrivilege:
		return fmt.Errorf("%w; connect as a role that may create tables and functions in the schema", err)
	case invalidSchemaName:
		return fmt.Errorf("%w; create the schema first", err)
	case undefinedFunction:
		return fmt.Errorf("%w; use PostgreSQL 13 or later", err)
	}
	return hint(err)
}
