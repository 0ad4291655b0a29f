package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/revocationport"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/revocationstore"
)

// revoker is where "gatehouse revoke" sends revocations: a store, or the operator port of a gateway. Its
// errors have a hint.
type revoker interface {
	warnings() []string
	// create creates the tables of the store.
	create(context.Context) error
	// revoke revokes what d matches, and returns the revocations. inMemory is true if a gateway keeps
	// them in its memory.
	revoke(ctx context.Context, d gatehouse.Denial) (revoked []revocationport.Revocation, inMemory bool, err error)
	// list returns the revocations that have not ended, and where they are.
	list(context.Context) (list []revocationport.Revocation, where string, err error)
}

// storeRevoker is a store. providers are those of the gateway's file; without a file there are none, and an issuer
// is not checked.
type storeRevoker struct {
	store     *revocationstore.Store
	providers []gatehouse.Provider
}

func (s storeRevoker) warnings() []string { return s.store.Warnings() }

func (s storeRevoker) create(ctx context.Context) error {
	if err := s.store.Create(ctx); err != nil {
		return s.failure("creating the tables", err)
	}
	return nil
}

// denials returns d once for each issuer. One that matches no token is a mistake on the command line.
func (s storeRevoker) denials(d gatehouse.Denial) ([]gatehouse.Denial, error) {
	if len(s.providers) == 0 {
		return []gatehouse.Denial{d}, nil
	}
	denials, err := revocationstore.WithIssuers(d, s.providers)
	if fault := (*revocationstore.IssuerError)(nil); errors.As(err, &fault) {
		return nil, newUsageError("use --issuer with one of "+strings.Join(fault.Issuers, ", "), "--issuer: %w", err)
	}
	return denials, err
}

func (s storeRevoker) revoke(ctx context.Context, d gatehouse.Denial) ([]revocationport.Revocation, bool, error) {
	denials, err := s.denials(d)
	if err != nil {
		return nil, false, err
	}
	if err := s.store.Append(ctx, denials); err != nil {
		return nil, false, s.failure("appending the revocation", err)
	}
	return revocationport.ListOf(denials), false, nil
}

func (s storeRevoker) list(ctx context.Context) ([]revocationport.Revocation, string, error) {
	denials, _, err := s.store.Snapshot(ctx)
	if err != nil {
		return nil, "", s.failure("reading the revocations", err)
	}
	return revocationport.ListOf(denials), s.store.String(), nil
}

// failure returns the failure of an operation of the store.
func (s storeRevoker) failure(what string, err error) error {
	hint := "check that the store runs and can be reached from this machine, and its user and password"
	if strings.Contains(err.Error(), "42P01") { // undefined_table
		hint = fmt.Sprintf("run \"gatehouse revoke --create-tables\" with the same store, as a role that may create tables (%s)", s.store)
	}
	return failure.New(hint, "%s: %s: %w", s.store, what, err)
}

// gatewayRevoker is the operator port of a gateway.
type gatewayRevoker struct{ client *revocationport.Client }

func (gatewayRevoker) warnings() []string { return nil }

func (g gatewayRevoker) create(context.Context) error {
	return fmt.Errorf("%s has no tables", g.client) // the flags exclude it
}

func (g gatewayRevoker) revoke(ctx context.Context, d gatehouse.Denial) ([]revocationport.Revocation, bool, error) {
	answer, err := g.client.Add(ctx, revocationport.Of(d))
	if err != nil {
		return nil, false, err
	}
	return answer.Revocations, !answer.Shared, nil
}

func (g gatewayRevoker) list(ctx context.Context) ([]revocationport.Revocation, string, error) {
	answer, err := g.client.List(ctx)
	if err != nil {
		return nil, "", err
	}
	return append([]revocationport.Revocation{}, answer.Revocations...), answer.Store, nil
}
