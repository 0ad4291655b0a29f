// Package postgres shares revocations between processes through PostgreSQL 13 or later: its
// [Store] is the Revocations of a gatehouse.Config.
//
//	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
//	…
//	store, err := postgres.New(postgres.Config{Pool: pool})
//	…
//	guard, err := gatehouse.New(gatehouse.Config{Revocations: store, …})
//
// Create the tables once, with [CreateTables] or with the statements that [SQL] returns, as a role
// that may create them. The role of the servers then needs no more than [Grants] gives it.
//
// # How it works
//
// A table holds the denials. A second one has one row, with the position of the last denial. A
// trigger increments it with each INSERT, and so INSERTs wait for each other: positions are
// visible in their order, and a process that has read up to a position has missed nothing before
// it. (A transaction that inserts and stays open makes the others wait.) The trigger also sends NOTIFY. Each process holds one connection of the pool with LISTEN,
// and reads the new rows with each notification and every half second: a notification may be
// missed, and behind a pooler like PgBouncer none arrives. Denials that have ended are deleted a
// minute later, with the next Snapshot; guards load one every ten minutes.
//
// A denial can also be inserted by hand:
//
//	INSERT INTO gatehouse_revocations (subject, until) VALUES ('user_1', now() + interval '1 day');
//
// Connect to the primary server (target_session_attrs=read-write in the connection string).
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// DefaultTable is the name of the table if [Config.Table] is empty.
	DefaultTable = "gatehouse_revocations"

	// maxTable is shorter than the limit of PostgreSQL, 63 bytes, because names are made from
	// it.
	maxTable = 50
	// maxSnapshot bounds what a snapshot reads. It is more than a guard can hold, so that the
	// guard notices that there are too many.
	maxSnapshot = 20_002
	// readCount bounds the rows of one read of a watch.
	readCount = 1000
	// pollInterval is how often a watch reads if no notification arrives.
	pollInterval = 500 * time.Millisecond
	// queryTimeout bounds each read of a watch.
	queryTimeout = 5 * time.Second
)

// Config configures a [Store]. Pool is required.
type Config struct {
	// Pool is the connection pool. A watch holds one of its connections all the time, so
	// MaxConns must be at least 2. TLS, user and timeouts are set in its configuration. The
	// store does not close it.
	Pool *pgxpool.Pool

	// Table is the name of the table, with its schema if that is not in the search path:
	// "auth.revocations". It consists of lower-case letters, digits and _. Empty means
	// [DefaultTable].
	Table string
}

// Store is a [gatehouse.RevocationStore] in PostgreSQL. It is safe for concurrent use.
type Store struct {
	pool *pgxpool.Pool
	name
}

var _ gatehouse.RevocationStore = (*Store)(nil)

// New validates cfg and returns its store. It opens no connection. Each fault is a
// *[gatehouse.ConfigError].
func New(cfg Config) (*Store, error) {
	var faults []error
	if cfg.Pool == nil {
		faults = append(faults, &gatehouse.ConfigError{Field: "Pool", Problem: "is missing", Fix: "set it to the result of pgxpool.New"})
	} else if n := cfg.Pool.Config().MaxConns; n < 2 {
		faults = append(faults, &gatehouse.ConfigError{
			Field:   "Pool",
			Problem: fmt.Sprintf("has at most %d connection, and a watch holds one all the time", n),
			Fix:     "set pool_max_conns in the connection string to at least 2",
		})
	}
	n, err := nameOf(cfg.Table)
	if err := errors.Join(append(faults, err)...); err != nil {
		return nil, err
	}
	return &Store{cfg.Pool, n}, nil
}

// name is the name of the table.
type name struct{ schema, table string }

func nameOf(text string) (name, error) {
	if text == "" {
		text = DefaultTable
	}
	schema, table, qualified := strings.Cut(text, ".")
	if !qualified {
		schema, table = "", text
	}
	if !isIdentifier(table) || qualified && !isIdentifier(schema) {
		return name{}, &gatehouse.ConfigError{
			Field:   "Table",
			Value:   text,
			Problem: "is not the name of a table",
			Fix:     fmt.Sprintf(`use lower-case letters, digits and _, at most %d, like "auth.revocations"`, maxTable),
		}
	}
	return name{schema, table}, nil
}

func isIdentifier(s string) bool {
	return s != "" && len(s) <= maxTable && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == "" && (s[0] > '9' || s[0] < '0')
}

// quoted returns the name in SQL, with a suffix.
func (n name) quoted(suffix string) string {
	if n.schema == "" {
		return pgx.Identifier{n.table + suffix}.Sanitize()
	}
	return pgx.Identifier{n.schema, n.table + suffix}.Sanitize()
}

// sql replaces the names in braces in a statement.
func (n name) sql(statement string) string {
	return strings.NewReplacer(
		"{table}", n.quoted(""),
		"{position}", n.quoted("_position"),
		"{function}", n.quoted("_append"),
		"{index}", pgx.Identifier{n.table + "_claims"}.Sanitize(),
		"{trigger}", pgx.Identifier{n.table + "_append"}.Sanitize(),
	).Replace(statement)
}

// Append implements [gatehouse.RevocationStore].
func (s *Store) Append(ctx context.Context, denials []gatehouse.Denial) error {
	return hint(pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		for _, d := range denials {
			var issuedBefore *time.Time
			if !d.IssuedBefore.IsZero() {
				issuedBefore = &d.IssuedBefore
			}
			batch.Queue(s.sql(insertStatement), d.Issuer, d.TokenID, d.SessionID, d.Subject, d.ClientID, d.Organization, issuedBefore, d.Until)
		}
		return tx.SendBatch(ctx, batch).Close()
	}))
}

// insertStatement inserts a denial that the table does not have yet.
const insertStatement = `INSERT INTO {table} (issuer, token_id, session_id, subject, client_id, organization, issued_before, until)
SELECT $1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::timestamptz, $8::timestamptz
WHERE NOT EXISTS (SELECT FROM {table} WHERE issuer = $1 AND token_id = $2 AND session_id = $3 AND subject = $4
	AND client_id = $5 AND token_id || session_id || subject || client_id = $2 || $3 || $4 || $5 AND organization = $6 AND issued_before IS NOT DISTINCT FROM $7 AND until >= $8)`

// deleteStatement leaves denials for a minute after their end, because clocks differ.
const deleteStatement = `DELETE FROM {table} WHERE until < now() - interval '1 minute'`

const columns = `issuer, token_id, session_id, subject, client_id, organization, issued_before, until, position, id`

// Snapshot implements [gatehouse.RevocationStore].
func (s *Store) Snapshot(ctx context.Context) (denials []gatehouse.Denial, position string, err error) {
	// The position is read first: the rows of a later statement include all up to it.
	var at place
	err = s.pool.QueryRow(ctx, s.sql(`SELECT position, id FROM {position}`)).Scan(&at.position, &at.id)
	if err != nil {
		return nil, "", hint(err)
	}
	rows, err := s.pool.Query(ctx, s.sql(`SELECT `+columns+` FROM {table} WHERE until > now() LIMIT $1`), maxSnapshot)
	if err != nil {
		return nil, "", hint(err)
	}
	denials, _, err = collect(rows)
	if err != nil {
		return nil, "", hint(err)
	}
	_, err = s.pool.Exec(ctx, s.sql(deleteStatement))
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) && (e.Code == insufficientPrivilege || e.Code == readOnlyTransaction) {
		err = nil // a role that may only read leaves this to others
	}
	return denials, at.String(), hint(err)
}

// place is a position in the log: that of a denial, and its random ID. If the data was restored
// from an older copy, the position may be of another denial.
type place struct {
	position int64
	id       string
}

func (p place) String() string { return strconv.FormatInt(p.position, 10) + "/" + p.id }

func parsePlace(text string) (place, error) {
	number, id, found := strings.Cut(text, "/")
	position, err := strconv.ParseInt(number, 10, 64)
	if err != nil || !found {
		return place{}, fmt.Errorf("%w: %.40q is not a position", gatehouse.ErrPositionLost, text)
	}
	return place{position, id}, nil
}

// collect returns the denials of rows, and the place of the last one.
func collect(rows pgx.Rows) (denials []gatehouse.Denial, last place, err error) {
	defer rows.Close()
	for rows.Next() {
		var d gatehouse.Denial
		var issuedBefore *time.Time
		err := rows.Scan(&d.Issuer, &d.TokenID, &d.SessionID, &d.Subject, &d.ClientID, &d.Organization,
			&issuedBefore, &d.Until, &last.position, &last.id)
		if err != nil {
			return nil, place{}, err
		}
		if issuedBefore != nil {
			d.IssuedBefore = issuedBefore.UTC()
		}
		d.Until = d.Until.UTC()
		denials = append(denials, d)
	}
	return denials, last, rows.Err()
}

// Watch implements [gatehouse.RevocationStore].
func (s *Store) Watch(ctx context.Context, position string, receive func([]gatehouse.Denial, string)) error {
	return hint(s.watch(ctx, position, receive))
}

func (s *Store) watch(ctx context.Context, position string, receive func([]gatehouse.Denial, string)) error {
	at, err := parsePlace(position)
	if err != nil {
		return err
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer release(conn)
	if err := s.listen(ctx, conn); err != nil {
		return err
	}
	for {
		denials, last, err := s.read(ctx, conn, at)
		if err == nil {
			err = s.checkPlace(ctx, conn, at)
		}
		if err != nil {
			return err
		}
		if len(denials) > 0 {
			at = last
		}
		receive(denials, at.String())
		if len(denials) == readCount {
			continue
		}
		if err := waitForNotification(ctx, conn); err != nil {
			return err
		}
	}
}

// release closes the connection, which has a LISTEN that other users of the pool do not want.
func release(conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn.Hijack().Close(ctx)
}

// listen starts to listen for notifications.
func (s *Store) listen(ctx context.Context, conn *pgxpool.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	_, err := conn.Exec(ctx, `LISTEN `+pgx.Identifier{s.table}.Sanitize())
	return err
}

// checkPlace returns [gatehouse.ErrPositionLost] unless the place is the last one, or that of a denial
// which exists, or the one before such a denial. All later denials then exist, or have ended. It is
// called after each read: the tables may be created again while the connection is open.
func (s *Store) checkPlace(ctx context.Context, conn *pgxpool.Conn, at place) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var known bool
	err := conn.QueryRow(ctx, s.sql(`SELECT EXISTS (SELECT FROM {position} WHERE position = $1 AND id::text = $2)
		OR EXISTS (SELECT FROM {table} WHERE position = $1 AND id::text = $2)
		OR EXISTS (SELECT FROM {table} WHERE position = $1 + 1 AND after_id::text = $2)`), at.position, at.id).Scan(&known)
	if err == nil && !known {
		err = gatehouse.ErrPositionLost
	}
	return err
}

// read returns the denials after a place, in order, at most readCount.
func (s *Store) read(ctx context.Context, conn *pgxpool.Conn, at place) ([]gatehouse.Denial, place, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := conn.Query(ctx, s.sql(`SELECT `+columns+` FROM {table} WHERE position > $1 ORDER BY position LIMIT $2`), at.position, readCount)
	if err != nil {
		return nil, place{}, err
	}
	return collect(rows)
}

// waitForNotification waits for a notification, for at most pollInterval.
func waitForNotification(ctx context.Context, conn *pgxpool.Conn) error {
	wait, cancel := context.WithTimeout(ctx, pollInterval)
	defer cancel()
	_, err := conn.Conn().WaitForNotification(wait)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case wait.Err() != nil:
		return nil
	}
	return err
}
