package main

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

const (
	scopeRead  = "documents:read"
	scopeWrite = "documents:write" // includes documents:read: see ImpliedScopes in main.go
	roleAdmin  = "org:admin"
)

// reading and writing are what the caller needs. Machines are rejected: an author is a person.
func (d *documentServer) reading() gatehouse.Require {
	return gatehouse.Require{Scopes: []string{scopeRead}, Person: true, Check: d.checkMember}
}

func (d *documentServer) writing() gatehouse.Require {
	return gatehouse.Require{Scopes: []string{scopeWrite}, Person: true, Check: d.checkWriter}
}

// checkMember rejects those who were removed from the organization. Their tokens say otherwise until they expire, which
// can take a day. While Clerk does not answer, members get 503; without this check, they could go on reading.
func (d *documentServer) checkMember(ctx context.Context, id gatehouse.Identity) error {
	if id.Organization.ID == "" {
		return nil // the workspace of the user alone
	}
	return d.isMember(ctx, id)
}

// checkWriter rejects, in addition, everyone in a suspended workspace.
func (d *documentServer) checkWriter(ctx context.Context, id gatehouse.Identity) error {
	if err := d.checkMember(ctx, id); err != nil {
		return err
	}
	suspended, err := d.store.suspended(ctx, workspaceOf(id).tenant)
	if err != nil {
		return undecidedError{err}
	}
	if suspended {
		return errors.New("the workspace is suspended")
	}
	return nil
}

// undecidedError is the error of a check that could not decide, because the database does not answer. The caller gets 503.
type undecidedError struct{ error }

func (undecidedError) RetryAfter() time.Duration { return 5 * time.Second }
