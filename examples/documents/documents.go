package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of one workspace and of what one call returns.
const (
	maxDocuments = 1000     // of one workspace
	maxTitle     = 200      // characters
	maxText      = 32 << 10 // bytes
	pageSize     = 20       // documents
	maxWords     = 8        // of one search
	maxWord      = 64       // bytes
)

// Document is a document as tools return it.
type Document struct {
	ID      string    `json:"id"`
	Title   string    `json:"title"`
	Text    string    `json:"text,omitempty" jsonschema:"Markdown; left out of lists"`
	Author  string    `json:"author"`
	Shared  bool      `json:"shared" jsonschema:"whether all members of the organization see the document, or its author alone"`
	Version int       `json:"version" jsonschema:"increases with each change; update_document needs it"`
	Updated time.Time `json:"updated"`
}

// documents are the documents of one workspace, as one user sees them. All queries about
// documents are methods of it and have its tenant, so none is about another one. Those that
// read a document have the conditions of visible: one that the user may not see is the same
// as one that does not exist.
type documents struct {
	store *store
	workspace
}

const visible = "tenant = ? AND (shared OR author = ?)"

func (d documents) visibleTo() []any { return []any{d.tenant, d.user} }

// list returns a page of documents, newest first, without their texts. after is the ID of the last document of
// the page before, or empty. words, if any, are all in the title or the text of a document.
func (d documents) list(ctx context.Context, words []string, after string) (page []Document, more bool, err error) {
	query, args := "SELECT id, title, '', author, shared, version, updated FROM documents WHERE "+visible, d.visibleTo()
	if after != "" {
		if _, err := d.get(ctx, d.store.db, after); err != nil {
			return nil, false, err
		}
		query += " AND (created, id) < (SELECT created, id FROM documents WHERE tenant = ? AND id = ?)"
		args = append(args, d.tenant, after)
	}
	for _, word := range words {
		// A full-text index over all tenants would answer faster, and the time that it needs would depend on
		// the documents of other tenants. This reads those of one workspace, which are few.
		query += ` AND (title LIKE ? ESCAPE '\' OR text LIKE ? ESCAPE '\')`
		pattern := "%" + likeEscaper.Replace(word) + "%"
		args = append(args, pattern, pattern)
	}
	rows, err := d.store.db.QueryContext(ctx, query+" ORDER BY created DESC, id DESC LIMIT ?", append(args, pageSize+1)...)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	page = []Document{} // JSON null otherwise
	for rows.Next() {
		document, err := scan(rows)
		if err != nil {
			return nil, false, err
		}
		page = append(page, document)
	}
	return page[:min(len(page), pageSize)], len(page) > pageSize, rows.Err()
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// searchWords splits the text of a search into words.
func searchWords(text string) ([]string, error) {
	words := strings.Fields(text)
	tooLong := func(word string) bool { return len(word) > maxWord }
	if len(words) == 0 || len(words) > maxWords || slices.ContainsFunc(words, tooLong) {
		return nil, errForModel("got %d words to search for; want 1 to %d, each of at most %d bytes", len(words), maxWords, maxWord)
	}
	return words, nil
}

// querier is a *sql.DB or a *sql.Tx.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// get returns a document, or errNotFound.
func (d documents) get(ctx context.Context, db querier, id string) (Document, error) {
	row := db.QueryRowContext(ctx, "SELECT id, title, text, author, shared, version, updated FROM documents WHERE "+visible+" AND id = ?",
		append(d.visibleTo(), id)...)
	document, err := scan(row)
	if errors.Is(err, sql.ErrNoRows) {
		return Document{}, errNotFound
	}
	return document, err
}

func scan(row interface{ Scan(...any) error }) (Document, error) {
	var document Document
	var updated int64
	err := row.Scan(&document.ID, &document.Title, &document.Text, &document.Author, &document.Shared, &document.Version, &updated)
	document.Updated = time.UnixMilli(updated).UTC()
	return document, err
}

// create adds a document of the caller, which no one else sees until it is shared.
func (d documents) create(ctx context.Context, title, text string) (Document, error) {
	if err := checkContent(title, text); err != nil {
		return Document{}, err
	}
	now := time.Now()
	document := Document{
		ID:      rand.Text(),
		Title:   title,
		Text:    text,
		Author:  d.user,
		Version: 1,
		Updated: now.UTC().Truncate(time.Millisecond),
	}
	err := d.store.inTransaction(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM documents WHERE tenant = ?", d.tenant).Scan(&n); err != nil {
			return err
		}
		if n >= maxDocuments {
			return errForModel("the workspace has %d documents, which is the limit; ask the user which ones to delete", n)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO documents (tenant, id, author, title, text, created, updated)
			VALUES (?, ?, ?, ?, ?, ?, ?)`,
			d.tenant, document.ID, document.Author, title, text, now.UnixMilli(), now.UnixMilli())
		return err
	})
	return document, err
}

// change reads a document, lets f change it, and writes it, in one transaction. version is the one
// that the caller has read: if the document has another one, someone else has changed it, and
// the change is rejected rather than lost.
func (d documents) change(ctx context.Context, id string, version int, f func(*Document) error) (document Document, err error) {
	err = d.store.inTransaction(ctx, func(tx *sql.Tx) (err error) {
		if document, err = d.getVersion(ctx, tx, id, version); err != nil {
			return err
		}
		if err := f(&document); err != nil {
			return err
		}
		document.Version++
		document.Updated = time.Now().UTC().Truncate(time.Millisecond)
		_, err = tx.ExecContext(ctx, `UPDATE documents SET title = ?, text = ?, shared = ?, version = ?, updated = ?
			WHERE tenant = ? AND id = ?`,
			document.Title, document.Text, document.Shared, document.Version, document.Updated.UnixMilli(), d.tenant, id)
		return err
	})
	return document, err
}

// delete deletes a document.
func (d documents) delete(ctx context.Context, id string, version int) error {
	return d.store.inTransaction(ctx, func(tx *sql.Tx) error {
		if _, err := d.getVersion(ctx, tx, id, version); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM documents WHERE tenant = ? AND id = ?", d.tenant, id)
		return err
	})
}

func (d documents) getVersion(ctx context.Context, tx *sql.Tx, id string, version int) (Document, error) {
	document, err := d.get(ctx, tx, id)
	if err == nil && document.Version != version {
		err = errForModel("the document has version %d and not %d, so it was changed; read it again, and decide again",
			document.Version, version)
	}
	return document, err
}

// count returns the number of documents of the workspace that the caller sees.
func (d documents) count(ctx context.Context) (n int, err error) {
	err = d.store.db.QueryRowContext(ctx, "SELECT count(*) FROM documents WHERE "+visible, d.visibleTo()...).Scan(&n)
	return n, err
}

// checkContent reports a title or a text that is too long or not text.
func checkContent(title, text string) error {
	n := utf8.RuneCountInString(title)
	switch {
	case n == 0 || n > maxTitle || strings.TrimSpace(title) == "" || strings.ContainsFunc(title, unicode.IsControl):
		return errForModel("the title has %d characters; want 1 to %d, in one line", n, maxTitle)
	case len(text) > maxText:
		return errForModel("the text has %d bytes, want at most %d; write several documents", len(text), maxText)
	case strings.ContainsRune(text, 0):
		return errForModel("the text has a NUL character; remove it")
	}
	return nil
}

// suspended reports whether the tenant may not change documents.
func (s *store) suspended(ctx context.Context, tenant string) (suspended bool, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM suspended WHERE tenant = ?)", tenant).Scan(&suspended)
	if err != nil {
		return true, fmt.Errorf("reading whether the workspace is suspended: %w", err)
	}
	return suspended, nil
}
