package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/savedsignin"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/signin"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
)

const (
	maxAnswer      = 1024 // bytes of the answer to a question
	cleanupTimeout = 15 * time.Second
)

// errDeclined means that the user does not want a client to be registered.
var errDeclined = errors.New("you chose not to register a client; answer y, pass --yes, or use an existing client with " +
	"--client-id")

// signInCheck is the sign-in of "gatehouse doctor --sign-in": that of a client that the
// provider has never seen. Nothing of it is saved.
type signInCheck struct {
	*call
	store  *savedsignin.Store
	result diagnose.SignIn
}

// checkSignIn signs in if the report has no fault that keeps every client from it. The checks
// that need a token are then made with the new one.
func (o *doctorOptions) checkSignIn(ctx context.Context, con *console, cfg diagnose.Config,
	report *diagnose.Report) (*diagnose.Report, error) {
	if f := report.Blocking(); f != nil {
		report.AddSignIn(diagnose.SignIn{Skipped: "no client can sign in before this is fixed: " + f.Title})
		return report, nil
	}
	if !report.IsEndpoint() {
		return nil, newUsageError("pass the URL of the MCP endpoint",
			"--sign-in needs an MCP endpoint, and the target is not one")
	}
	dir, err := os.MkdirTemp("", "gatehouse-doctor-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the sign-in: %w", err)
	}
	defer os.RemoveAll(dir)
	ctx, timeout := withAnswerTimeout(ctx, o.timeout)
	defer timeout.stop()
	check, err := o.newSignInCheck(ctx, con, dir, timeout)
	if err != nil {
		return nil, err
	}
	check.run(ctx)
	con.endProgress()
	if cfg.Token = check.result.Token; cfg.Token != "" {
		if again, err := diagnose.Run(ctx, cfg, o.targets[0]); err == nil {
			report = again
		}
	}
	check.cleanUp(context.WithoutCancel(ctx))
	con.endProgress()
	report.AddSignIn(check.result)
	return report, nil
}

func (o *doctorOptions) newSignInCheck(ctx context.Context, con *console, dir string, timeout *answerTimeout) (*signInCheck,
	error) {
	options := &callOptions{
		url: o.targets[0], user: o.user, org: o.org, clientID: o.clientID, clientSecretFile: o.clientKey,
		noBrowser: o.noBrowser, timeout: defaultTimeout, scope: o.scope,
	}
	account, err := options.account()
	if err != nil {
		return nil, err
	}
	secret, err := options.clientSecret()
	if err != nil {
		return nil, err
	}
	store := savedsignin.NewStore(dir, con.Note)
	transport := newTransport(con, account.Resource)
	client := signin.New(ctx, signin.Config{
		Account:        account,
		Scopes:         strings.Fields(options.scope),
		ClientSecret:   secret,
		NoBrowser:      o.noBrowser,
		Timeout:        defaultTimeout,
		Version:        version,
		BeforeRegister: func(issuer string) error { return o.askToRegister(con, issuer) },
		Pause:          timeout.suspend,
		UI:             con,
		Store:          store,
		Transport:      transport,
	})
	return &signInCheck{store: store, call: newCallWith(con, options, account.Resource, transport, client)}, nil
}

// askToRegister asks whether to register a client at the issuer.
func (o *doctorOptions) askToRegister(con *console, issuer string) error {
	if o.yes {
		return nil
	}
	con.Note("this registers a client named %q at %s; some providers keep it until someone deletes it there",
		signin.ClientName(), issuer)
	if con.confirm("register it?") {
		return nil
	}
	return failure.New("answer y, or pass --yes; --client-id uses a client that exists", "%w", errDeclined)
}

// run signs in, lists the tools and refreshes the token.
func (s *signInCheck) run(ctx context.Context) {
	session, err := s.connect(ctx)
	if err == nil {
		defer session.Close()
		tools, listErr := s.tools(ctx, session)
		s.result.Tools = len(tools)
		if listErr != nil {
			s.result.ToolsFailed, s.result.ToolsFix = problemAndFix(s.explain(ctx, listErr))
		}
	}
	s.readSaved()
	switch {
	case errors.Is(s.signIn.Err(), errDeclined):
		s.result = diagnose.SignIn{Skipped: errDeclined.Error()}
		return
	case err != nil:
		s.result.Failed, s.result.Fix = problemAndFix(s.explain(ctx, err))
		return
	case s.result.Token == "":
		s.result.Skipped = "the endpoint asked for no token"
		return
	}
	s.con.Begin("refreshing the token")
	refreshErr := s.signIn.Refresh()
	s.result.HasRefreshToken = !errors.Is(refreshErr, signin.ErrNoRefreshToken)
	if refreshErr != nil && s.result.HasRefreshToken {
		s.result.RefreshFailed, _ = problemAndFix(refreshErr)
	}
	s.readSaved()
}

// saved returns the sign-in, or nil if there is none yet.
func (s *signInCheck) saved() *savedsignin.SignIn {
	all, err := s.store.List(s.resource)
	if err != nil || len(all) == 0 {
		return nil
	}
	return all[0]
}

// readSaved copies what the sign-in has so far.
func (s *signInCheck) readSaved() {
	saved := s.saved()
	if saved == nil {
		return
	}
	s.result.Issuer, s.result.Client = saved.Issuer, saved.Client.ID
	s.result.RegisteredClient = saved.Client.Registered
	s.result.Requested = strings.Fields(saved.Client.Scope)
	if saved.Tokens == nil {
		return
	}
	s.result.Granted = saved.Tokens.Scopes()
	s.result.Token = gatehouse.Secret(saved.Tokens.Access)
	if !saved.Tokens.Expiry.IsZero() {
		s.result.Lifetime = time.Until(saved.Tokens.Expiry).Round(time.Second)
	}
}

// problemAndFix returns the two parts of an error.
func problemAndFix(err error) (problem, fix string) {
	var f *failure.Error
	if errors.As(err, &f) {
		return f.Problem, f.Hint
	}
	return err.Error(), "run the command again with -v, which prints each step of the sign-in"
}

// cleanUp revokes the tokens and deletes the client, as far as the provider allows, and notes
// what is left.
func (s *signInCheck) cleanUp(ctx context.Context) {
	saved := s.saved()
	if saved == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	var left []string
	if saved.Tokens != nil {
		if problem := s.revoke(ctx, saved); problem != "" {
			left = append(left, problem)
		}
	}
	if saved.Client.Registered {
		if err := s.signIn.Unregister(ctx, saved.Issuer); err != nil {
			left = append(left,
				fmt.Sprintf("the client %q at %s (%v); delete it there, at Clerk under Configure → OAuth applications",
					saved.Client.ID, saved.Issuer, err))
		}
	}
	s.result.LeftBehind = strings.Join(left, "; ")
}

// revoke revokes the tokens, and returns what stays valid.
func (s *signInCheck) revoke(ctx context.Context, saved *savedsignin.SignIn) string {
	s.con.Begin("revoking the tokens")
	until := ""
	if !saved.Tokens.Expiry.IsZero() {
		until = " until " + saved.Tokens.Expiry.UTC().Format(time.RFC3339)
	}
	err := signin.CheckEndpoint(saved.Issuer, "revocation_endpoint", saved.RevocationEndpoint)
	if saved.RevocationEndpoint == "" {
		return "the access token, which is valid" + until + ", since the provider has no revocation endpoint"
	}
	if err == nil {
		s.transport.Learn(saved.RevocationEndpoint, trace.RoleRevocation)
		err = savedsignin.Revoke(ctx, signin.NewHTTPClient(s.transport), saved)
	}
	switch {
	case err != nil:
		return fmt.Sprintf("the tokens, which are valid%s (%v)", until, err)
	case strings.Count(string(saved.Tokens.Access), ".") == 2:
		return "the access token, which servers accept" + until + ", because a JWT cannot be revoked"
	}
	return ""
}

// confirm asks a question on standard error, and reports whether the answer is yes.
func (c *console) confirm(question string) bool {
	c.mu.Lock()
	c.clearCountdown()
	fmt.Fprintf(c.stderr, "gatehouse: %s [y/N] ", question)
	c.mu.Unlock()
	line, err := bufio.NewReader(io.LimitReader(c.stdin, maxAnswer)).ReadString('\n')
	if err != nil {
		fmt.Fprintln(c.stderr)
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}
