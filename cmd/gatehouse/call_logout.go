package main

import (
	"context"
	"errors"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/savedsignin"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/signin"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
)

// logout revokes and deletes the sign-ins at a resource: all of them, or those of the
// user, organization or client that the account names.
func logout(ctx context.Context, con *console, account savedsignin.Account) error {
	store, err := openStore(con)
	if err != nil {
		return err
	}
	all, err := store.List(account.Resource)
	if err != nil {
		return err
	}
	var errs []error
	removed, signedIn := 0, false
	for _, saved := range all {
		if !account.Covers(saved.Account) {
			continue
		}
		con.Begin("revoking the sign-in at " + saved.Issuer)
		revoke(ctx, con, saved)
		if err := store.Remove(saved); err != nil {
			errs = append(errs, err)
			continue
		}
		removed++
		signedIn = signedIn || saved.Tokens != nil
	}
	switch {
	case signedIn:
		con.Note("signed out of %s", account.Resource)
	case removed > 0: // sign-ins that failed after the client had been registered
		con.Note("no one was signed in to %s; its registered client is deleted", account.Resource)
	case len(errs) == 0:
		con.Note("no one is signed in to %s", account.Resource)
	}
	return errors.Join(errs...)
}

// revoke revokes a sign-in. A failure is only a warning, because the sign-in is deleted
// in any case.
func revoke(ctx context.Context, con *console, saved *savedsignin.SignIn) {
	transport := newTransport(con, saved.Account.Resource)
	transport.Learn(saved.RevocationEndpoint, trace.RoleRevocation)
	var err error
	if saved.RevocationEndpoint != "" {
		err = signin.CheckEndpoint(saved.Issuer, "revocation_endpoint", saved.RevocationEndpoint)
	}
	if err == nil {
		err = savedsignin.Revoke(ctx, signin.NewHTTPClient(transport), saved)
	}
	if err != nil {
		con.Note("warning: deleting a sign-in that may still be valid at %s: %v%s", saved.Issuer, err,
			trace.IfSet(" (%s)", transport.Rejection(trace.RoleRevocation)))
	}
}
