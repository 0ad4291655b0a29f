package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gatewayfile"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/revocationstore"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
)

const (
	// defaultRevocation is how long a revocation lasts. Few access tokens live longer than a day.
	defaultRevocation = 24 * time.Hour
	// maxRevocation bounds it: each gateway keeps all revocations that have not ended.
	maxRevocation = 90 * 24 * time.Hour
	// clockDifference is how much the clock of the identity provider may be ahead of this one.
	clockDifference = 30 * time.Second
	// maxRevocationText bounds each value, as gatehouse.Denial does.
	maxRevocationText = 1024
	// storeTimeout bounds one operation of the store.
	storeTimeout = 10 * time.Second
)

// revokeOptions is the command line of "gatehouse revoke".
type revokeOptions struct {
	config, redisURLFile, redisCAFile, prefix, postgresURLFile, table string

	denial gatehouse.Denial
	length time.Duration
	signIn bool

	list, createTables, asJSON bool
}

func newRevokeCommand(con *console) *cobra.Command {
	var o revokeOptions
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "Shut a user, a session or a client out of all gateways",
		Long: `Reject access tokens that are still valid. Every gateway and server that shares the store
rejects them within a second, and ends their open streams and calls. What is given must all
match: --subject and --client together reject the tokens that this client got for this user.

Shut the user out at the identity provider as well, or the user signs in again when the
revocation ends. A revocation cannot be taken back before it ends.`,
		Example: `  gatehouse revoke --config gateway.yaml --subject user_2abc
  gatehouse revoke --config gateway.yaml --client https://client.example.com/cimd.json --for 1h
  gatehouse revoke --redis-url-file /run/secrets/redis-url --list`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := noArguments(cmd, args); err != nil {
				return err
			}
			return o.run(cmd.Context(), con)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.denial.Subject, "subject", "", "reject tokens of the user or machine `SUB` (claim sub)")
	flags.StringVar(&o.denial.SessionID, "session", "", "reject tokens of the provider's session `SID` (claim sid)")
	flags.StringVar(&o.denial.ClientID, "client", "", "reject tokens of the client `ID` (claim client_id or azp)")
	flags.StringVar(&o.denial.TokenID, "token-id", "", "reject the token `JTI` (claim jti)")
	flags.StringVar(&o.denial.Organization, "organization", "", "of these, only tokens for the organization `ID`")
	flags.StringVar(&o.denial.Issuer, "issuer", "", "of these, only tokens of the issuer `URL`\n(default: that of the file)")
	flags.DurationVar(&o.length, "for", defaultRevocation, "how long: at least as long as your access tokens live\n")
	flags.BoolVar(&o.signIn, "allow-sign-in", false, "accept tokens that are issued from now on")
	flags.StringVar(&o.config, "config", "", "use the store of the gateway's YAML `FILE`, its section revocations")
	flags.StringVar(&o.redisURLFile, "redis-url-file", "", "use Redis or Valkey, whose URL is in `FILE`")
	flags.StringVar(&o.redisCAFile, "redis-ca-file", "", "accept a certificate of Redis that an authority in `FILE` has signed")
	flags.StringVar(&o.prefix, "prefix", "", "`PREFIX` of the keys in Redis (default: gatehouse)")
	flags.StringVar(&o.postgresURLFile, "postgres-url-file", "", "use PostgreSQL, whose URL is in `FILE`")
	flags.StringVar(&o.table, "table", "", "`NAME` of the table in PostgreSQL (default: gatehouse_revocations)")
	flags.BoolVar(&o.list, "list", false, "list the revocations that have not ended, and exit")
	flags.BoolVar(&o.createTables, "create-tables", false, "create the tables in PostgreSQL, and exit")
	flags.BoolVar(&o.asJSON, "json", false, "print JSON")
	cmd.MarkFlagFilename("config", "yaml", "yml")
	for _, name := range []string{"redis-url-file", "redis-ca-file", "postgres-url-file"} {
		cmd.MarkFlagFilename(name)
	}
	for _, name := range []string{"subject", "session", "client", "token-id", "organization", "issuer", "for", "prefix", "table"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

func (o *revokeOptions) run(ctx context.Context, con *console) error {
	con.Begin("revoking")
	if err := o.check(); err != nil {
		return err
	}
	store, closeStore, err := o.open(con)
	if err != nil {
		return err
	}
	defer closeStore()
	for _, warning := range store.Warnings() {
		con.Note("warning: %s", warning)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	switch {
	case o.createTables:
		if err := store.Create(ctx); err != nil {
			return o.storeFailure(store, "creating the tables", err)
		}
		return con.print("the tables exist\n")
	case o.list:
		return o.printList(ctx, con, store)
	}
	return o.revoke(ctx, con, store)
}

// check returns a usageError for each mistake in the flags.
func (o *revokeOptions) check() error {
	var faults []error
	fault := func(hint, format string, args ...any) { faults = append(faults, newUsageError(hint, format, args...)) }
	d := &o.denial
	matching := d.Subject != "" || d.SessionID != "" || d.ClientID != "" || d.TokenID != ""
	switch what := matching || d.Organization != "" || d.Issuer != ""; {
	case o.list && o.createTables:
		fault("leave one of them out", "--list and --create-tables exclude each other")
	case (o.list || o.createTables) && what:
		fault("leave --list and --create-tables out to revoke", "--list and --create-tables revoke nothing")
	case !o.list && !o.createTables && !matching:
		fault("add --subject, --session, --client or --token-id", "the command line says neither which user nor which session, client or token")
	}
	for _, flag := range []struct{ name, value string }{
		{"--subject", d.Subject}, {"--session", d.SessionID}, {"--client", d.ClientID}, {"--token-id", d.TokenID},
		{"--organization", d.Organization}, {"--issuer", d.Issuer},
	} {
		if len(flag.value) > maxRevocationText || !utf8.ValidString(flag.value) {
			fault("copy the value from the identity provider or from the token", "%s is not UTF-8 or longer than %d bytes", flag.name, maxRevocationText)
		}
	}
	if o.length <= 0 || o.length > maxRevocation {
		fault("use a duration like 24h", "--for %s is not between 1s and %s", o.length, maxRevocation)
	}
	return errors.Join(append(faults, o.checkStore())...)
}

// checkStore returns a usageError for each mistake in the flags that name the store.
func (o *revokeOptions) checkStore() error {
	var faults []error
	named := 0
	for _, value := range []string{o.config, o.redisURLFile, o.postgresURLFile} {
		if value != "" {
			named++
		}
	}
	if named != 1 {
		faults = append(faults, newUsageError("add --config FILE with the file of the gateway, or --redis-url-file FILE, or --postgres-url-file FILE",
			"the command line names %d stores, want one", named))
	}
	for _, flag := range []struct{ name, value, of, with string }{
		{"--redis-ca-file", o.redisCAFile, o.redisURLFile, "--redis-url-file"}, {"--prefix", o.prefix, o.redisURLFile, "--redis-url-file"},
		{"--table", o.table, o.postgresURLFile, "--postgres-url-file"},
	} {
		if flag.value != "" && flag.of == "" {
			faults = append(faults, newUsageError("remove it; with --config, the file says it", "%s has no effect without %s", flag.name, flag.with))
		}
	}
	return errors.Join(faults...)
}

// open returns the store, and what closes it.
func (o *revokeOptions) open(con *console) (*revocationstore.Store, func(), error) {
	if o.config != "" {
		return o.openFromFile(con)
	}
	cfg := revocationstore.Config{Prefix: o.prefix, Table: o.table, Watchers: 1}
	for _, secret := range []struct {
		file, what string
		to         *gatehouse.Secret
	}{
		{o.redisURLFile, "the URL of Redis", &cfg.RedisURL}, {o.postgresURLFile, "the URL of PostgreSQL", &cfg.PostgresURL},
	} {
		if secret.file == "" {
			continue
		}
		text, err := readSecretFile(secret.file, secret.what)
		if err != nil {
			return nil, nil, err
		}
		*secret.to = gatehouse.Secret(text)
	}
	if o.redisCAFile != "" {
		text, err := os.ReadFile(o.redisCAFile)
		if err != nil {
			return nil, nil, failure.New("check the path and the permissions", "reading --redis-ca-file: %w", err)
		}
		cfg.RedisCA = text
	}
	store, err := revocationstore.Open(cfg)
	if err != nil {
		return nil, nil, o.explain(err)
	}
	return store, store.Close, nil
}

// explain names the flags in place of the fields of [revocationstore.Config].
func (o *revokeOptions) explain(err error) error {
	flags := strings.NewReplacer("RedisURL", "--redis-url-file", "RedisCA", "--redis-ca-file", "PostgresURL", "--postgres-url-file",
		"Prefix", "--prefix", "Table", "--table")
	var faults []error
	for _, e := range flattenErrors(err) {
		if fault := (*gatehouse.ConfigError)(nil); errors.As(e, &fault) {
			e = newUsageError(flags.Replace(fault.Fix), "%s %s", flags.Replace(fault.Field), flags.Replace(fault.Problem))
		}
		faults = append(faults, e)
	}
	return errors.Join(faults...)
}

// openFromFile returns the store of the gateway's file, and sets the issuer if it has only one.
func (o *revokeOptions) openFromFile(con *console) (*revocationstore.Store, func(), error) {
	settings, err := env.Load(".")
	if err != nil {
		return nil, nil, err
	}
	loader := gatewayfile.NewLoader(o.config, settings, newLogger(con, true))
	loader.CheckOnly() // often run by root, and the gateway by another user
	loaded, err := loader.Load()
	if err == nil && loaded.Revocations == nil {
		err = failure.New(`add "revocations: {redis_url_file: FILE}" or "revocations: {postgres_url_file: FILE}" to it and restart the gateway; `+
			"without a store, gateways know of no revocation", "%s has no section revocations", o.config)
	}
	if err == nil && !o.list && !o.createTables {
		err = o.setIssuer(issuersOf(loaded))
	}
	if err != nil {
		loader.Close()
		return nil, nil, err
	}
	return loaded.Revocations, loader.Close, nil
}

// issuersOf returns the issuers of the file. exact is false if one of them is a template, so that
// others are possible.
func issuersOf(loaded *gatewayfile.Loaded) (issuers []string, exact bool) {
	exact = true
	for _, e := range loaded.Gateway.Endpoints {
		for _, p := range append(slices.Clone(e.Guard.Providers), e.Guard.Provider) {
			if p.Issuer != "" && !slices.Contains(issuers, p.Issuer) {
				issuers = append(issuers, p.Issuer)
			}
			exact = exact && len(p.Tenants) == 0
		}
	}
	return issuers, exact
}

// setIssuer checks the issuer. A wrong one would match no token.
func (o *revokeOptions) setIssuer(issuers []string, exact bool) error {
	switch {
	case !exact:
		return nil
	case o.denial.Issuer == "" && len(issuers) == 1:
		o.denial.Issuer = issuers[0]
	case o.denial.Issuer == "" && len(issuers) > 1:
		return newUsageError("add --issuer with one of "+strings.Join(issuers, ", "),
			"%s has several issuers, at which the same value may be of different users", o.config)
	case !slices.Contains(issuers, o.denial.Issuer):
		return newUsageError("use one of "+strings.Join(issuers, ", "), "--issuer %q is not an issuer of %s", o.denial.Issuer, o.config)
	}
	return nil
}

// revocation is a revocation as it is printed.
type revocation struct {
	Issuer       string     `json:"issuer,omitempty"`
	Subject      string     `json:"subject,omitempty"`
	SessionID    string     `json:"session,omitempty"`
	ClientID     string     `json:"client,omitempty"`
	TokenID      string     `json:"tokenId,omitempty"`
	Organization string     `json:"organization,omitempty"`
	IssuedBefore *time.Time `json:"issuedBefore,omitempty"`
	Until        time.Time  `json:"until"`
}

func revocationOf(d gatehouse.Denial) revocation {
	r := revocation{d.Issuer, d.Subject, d.SessionID, d.ClientID, d.TokenID, d.Organization, nil, d.Until}
	if !d.IssuedBefore.IsZero() {
		r.IssuedBefore = &d.IssuedBefore
	}
	return r
}

// String returns what the revocation matches, and its end.
func (r revocation) String() string {
	text := ""
	for _, part := range []struct{ name, value string }{
		{"subject", r.Subject}, {"session", r.SessionID}, {"client", r.ClientID}, {"token-id", r.TokenID},
		{"organization", r.Organization}, {"issuer", r.Issuer},
	} {
		if part.value != "" {
			text += part.name + "=" + quoteValue(part.value) + " "
		}
	}
	if r.IssuedBefore != nil {
		text += "issued-before=" + r.IssuedBefore.Format(time.RFC3339) + " "
	}
	return text + "until=" + r.Until.Format(time.RFC3339)
}

func (o *revokeOptions) revoke(ctx context.Context, con *console, store *revocationstore.Store) error {
	now := time.Now().UTC().Truncate(time.Millisecond)
	d := o.denial
	d.Until = now.Add(o.length)
	if o.signIn {
		d.IssuedBefore = now.Add(clockDifference)
	}
	if err := store.Append(ctx, []gatehouse.Denial{d}); err != nil {
		return o.storeFailure(store, "appending the revocation", err)
	}
	if o.asJSON {
		return con.printJSON(revocationOf(d))
	}
	if o.signIn {
		con.Note("tokens that are issued more than %s from now are accepted", clockDifference)
	}
	return con.print("revoked: " + revocationOf(d).String() + "\n")
}

func (o *revokeOptions) printList(ctx context.Context, con *console, store *revocationstore.Store) error {
	denials, _, err := store.Snapshot(ctx)
	if err != nil {
		return o.storeFailure(store, "reading the revocations", err)
	}
	slices.SortFunc(denials, func(a, b gatehouse.Denial) int { return a.Until.Compare(b.Until) })
	list := make([]revocation, len(denials))
	var lines strings.Builder
	for i, d := range denials {
		list[i] = revocationOf(d)
		lines.WriteString(list[i].String() + "\n")
	}
	if o.asJSON {
		return con.printJSON(list)
	}
	con.Note("revocations in %s that have not ended: %d", store, len(list))
	return con.print(lines.String())
}

// storeFailure returns the failure of an operation of the store.
func (o *revokeOptions) storeFailure(store *revocationstore.Store, what string, err error) error {
	hint := "check that the store runs and can be reached from this machine, and its user and password"
	if strings.Contains(err.Error(), "42P01") { // undefined_table
		hint = fmt.Sprintf("run \"gatehouse revoke --create-tables\" with the same store, as a role that may create tables (%s)", store)
	}
	return failure.New(hint, "%s: %s: %w", store, what, err)
}
