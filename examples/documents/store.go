package main

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite", in pure Go
)

const (
	openTimeout    = 30 * time.Second
	maxConnections = 8 // SQLite has one writer at a time; the others read
)

// store is the database.
type store struct{ db *sql.DB }

// openStore opens the database in a file, creates the file if it does not exist, and brings its tables up to date.
// Transactions take the lock for writing when they begin: one that reads first and writes later
// could otherwise fail in the middle (SQLITE_BUSY).
func openStore(ctx context.Context, path string) (*store, error) {
	options := url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)"},
		"_txlock": {"immediate"},
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+options.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(maxConnections)
	s := &store{db}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := s.migrate(ctx); err != nil {
		err = fmt.Errorf("opening the database %q: %w; set DOCUMENTS_DB to a file in a folder that exists", path, err)
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func (s *store) Close() error { return s.db.Close() }

// migrations are applied in the order of their names. user_version of the database is the number of those
// that were applied. Add new files at the end, and never change one that was released.
//
//go:embed migrations/*.sql
var migrations embed.FS

func (s *store) migrate(ctx context.Context) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	return s.inTransaction(ctx, func(tx *sql.Tx) error {
		var applied int
		if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&applied); err != nil {
			return err
		}
		if applied > len(files) {
			return fmt.Errorf("it has version %d, want at most %d: a newer version of the server has used it", applied, len(files))
		}
		for _, file := range files[applied:] {
			text, err := migrations.ReadFile(file)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, string(text)); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(files)))
		return err
	})
}

// inTransaction runs f in a transaction, which is rolled back if f returns an error.
func (s *store) inTransaction(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // has no effect after Commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}
