package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gatewayfile"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/revocationport"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/revocationstore"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/operator"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const (
	// clockDifference is how much the clock of the identity provider may be ahead of this one.
	clockDifference = 30 * time.Second
	// storeTimeout bounds one operation of the store.
	storeTimeout = 10 * time.Second
)

// revokeOptions is the command line of "gatehouse revoke".
type revokeOptions struct {
	config, redisURLFile, redisCAFile, prefix, postgresURLFile, table string
	operator, operatorKeyFile                                         string

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

A gateway without a store, on one machine, takes revocations on its operator port if its file
has operator: {listen: localhost:9090, revoke_key_file: FILE}. It keeps them in memory: no
other gateway knows them, and a restart forgets them.

Shut the user out at the identity provider as well, or the user signs in again when the
revocation ends. A revocation cannot be taken back before it ends.`,
		Example: `  gatehouse revoke --config gateway.yaml --subject user_2abc
  gatehouse revoke --config gateway.yaml --client https://client.example.com/cimd.json --for 1h
  gatehouse revoke --redis-url-file /run/secrets/redis-url --list
  gatehouse revoke --operator http://localhost:9090 --operator-key-file key --subject user_2abc`,
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
	flags.DurationVar(&o.length, "for", revocationport.DefaultLength, "how long: at least as long as your access tokens live\n")
	flags.BoolVar(&o.signIn, "allow-sign-in", false, "accept tokens that are issued from now on")
	flags.StringVar(&o.config, "config", "", "use the store of the gateway's YAML `FILE`, its section revocations,\nor else its operator port")
	flags.StringVar(&o.redisURLFile, "redis-url-file", "", "use Redis or Valkey, whose URL is in `FILE`")
	flags.StringVar(&o.redisCAFile, "redis-ca-file", "", "accept a certificate of Redis that an authority in `FILE` has signed")
	flags.StringVar(&o.prefix, "prefix", "", "`PREFIX` of the keys in Redis (default: gatehouse)")
	flags.StringVar(&o.postgresURLFile, "postgres-url-file", "", "use PostgreSQL, whose URL is in `FILE`")
	flags.StringVar(&o.table, "table", "", "`NAME` of the table in PostgreSQL (default: gatehouse_revocations)")
	flags.StringVar(&o.operator, "operator", "", "use the gateway on this machine with the operator port at `URL`,\nlike http://localhost:9090")
	flags.StringVar(&o.operatorKeyFile, "operator-key-file", "", "key of that port, revoke_key in the gateway's file, in `FILE`")
	flags.BoolVar(&o.list, "list", false, "list the revocations that have not ended, and exit")
	flags.BoolVar(&o.createTables, "create-tables", false, "create the tables in PostgreSQL, and exit")
	flags.BoolVar(&o.asJSON, "json", false, "print JSON")
	cmd.MarkFlagFilename("config", "yaml", "yml")
	for _, name := range []string{"redis-url-file", "redis-ca-file", "postgres-url-file", "operator-key-file"} {
		cmd.MarkFlagFilename(name)
	}
	for _, name := range []string{"subject", "session", "client", "token-id", "organization", "issuer", "for", "prefix", "table", "operator"} {
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
	for _, warning := range store.warnings() {
		con.Note("warning: %s", warning)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	switch {
	case o.createTables:
		if err := store.create(ctx); err != nil {
			return err
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
		if len(flag.value) > revocationport.MaxText || !utf8.ValidString(flag.value) {
			fault("copy the value from the identity provider or from the token", "%s is not UTF-8 or longer than %d bytes", flag.name, revocationport.MaxText)
		}
	}
	if o.length <= 0 || o.length > revocationport.MaxLength {
		fault("use a duration like 24h", "--for %s is not between 1s and %s", o.length, revocationport.MaxLength)
	}
	return errors.Join(append(faults, o.checkStore())...)
}

// checkStore returns a usageError for each mistake in the flags that name the store.
func (o *revokeOptions) checkStore() error {
	var faults []error
	named := 0
	for _, value := range []string{o.config, o.redisURLFile, o.postgresURLFile, o.operator} {
		if value != "" {
			named++
		}
	}
	if named != 1 {
		faults = append(faults, newUsageError("add --config FILE with the file of the gateway, or --redis-url-file FILE, or --postgres-url-file FILE, or --operator URL",
			"the command line names %d stores, want one", named))
	}
	for _, flag := range []struct{ name, value, of, with string }{
		{"--redis-ca-file", o.redisCAFile, o.redisURLFile, "--redis-url-file"}, {"--prefix", o.prefix, o.redisURLFile, "--redis-url-file"},
		{"--table", o.table, o.postgresURLFile, "--postgres-url-file"}, {"--operator-key-file", o.operatorKeyFile, o.operator, "--operator"},
	} {
		if flag.value != "" && flag.of == "" {
			faults = append(faults, newUsageError("remove it; with --config, the file says it", "%s has no effect without %s", flag.name, flag.with))
		}
	}
	if o.operator != "" && o.operatorKeyFile == "" {
		faults = append(faults, newUsageError("add --operator-key-file FILE with the key of operator.revoke_key in the file of the gateway",
			"--operator is set without --operator-key-file"))
	}
	if o.operator != "" && o.createTables {
		faults = append(faults, newUsageError("leave it out", "--create-tables has no effect with --operator"))
	}
	return errors.Join(faults...)
}

// open returns where the revocations go, and what closes it.
func (o *revokeOptions) open(con *console) (revoker, func(), error) {
	switch {
	case o.config != "":
		return o.openFromFile(con)
	case o.operator != "":
		key, err := readSecretFile(o.operatorKeyFile, "the key of the operator port")
		if err != nil {
			return nil, nil, err
		}
		client, problem, fix := revocationport.NewClient(o.operator, gatehouse.Secret(key))
		if problem != "" {
			return nil, nil, newUsageError(fix, "--operator %q %s", wellknown.Redacted(o.operator), problem)
		}
		return gatewayRevoker{client}, func() {}, nil
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
	return storeRevoker{store: store}, store.Close, nil
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

// openFromFile returns the store of the gateway's file, or its operator port if the store is in the memory of the
// gateway.
func (o *revokeOptions) openFromFile(con *console) (revoker, func(), error) {
	settings, err := env.Load(".")
	if err != nil {
		return nil, nil, err
	}
	loader := gatewayfile.NewLoader(o.config, settings, newLogger(con, true))
	loader.WithoutUpstreams() // the file may be one for forward auth
	loader.CheckOnly()        // often run by root, and the gateway by another user
	loaded, err := loader.Load()
	if err == nil && loaded.Revocations == nil {
		err = failure.New(`add "revocations: {redis_url_file: FILE}" or "revocations: {postgres_url_file: FILE}" to it and restart the gateway, `+
			`or for one gateway without a store "operator: {listen: localhost:9090, revoke_key_file: FILE}"; without them, gateways know of no revocation`,
			"%s has no section revocations", o.config)
	}
	if err == nil && loaded.Revocations.InMemory() {
		return o.openOperatorPort(loaded.Operator, loader.Close)
	}
	store := storeRevoker{}
	if err == nil {
		store.store = loaded.Revocations
		for _, e := range loaded.Gateway.Endpoints {
			for _, p := range append(slices.Clone(e.Guard.Providers), e.Guard.Provider) {
				if p.Issuer != "" {
					store.providers = append(store.providers, p)
				}
			}
		}
		if !o.list && !o.createTables {
			_, err = store.denials(o.denial)
		}
	}
	if err != nil {
		loader.Close()
		return nil, nil, err
	}
	return store, loader.Close, nil
}

// openOperatorPort returns the operator port that the gateway's file configures.
func (o *revokeOptions) openOperatorPort(port gatewayfile.OperatorPort, done func()) (revoker, func(), error) {
	defer done()
	host, number, _, _ := operator.ParseAddr(port.Listen) // the loader has checked it
	if o.createTables {
		return nil, nil, newUsageError("leave it out", "--create-tables has no effect without postgres_url: %s keeps revocations in memory", o.config)
	}
	if number == 0 {
		return nil, nil, newUsageError("use --operator URL with the address that the gateway logs, and --operator-key-file, or choose a port in the file",
			"operator.listen of %s has no fixed port", o.config)
	}
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = listen.Localhost
	}
	address := "http://" + net.JoinHostPort(host, strconv.Itoa(number))
	client, problem, fix := revocationport.NewClient(address, port.RevokeKey)
	if problem != "" {
		return nil, nil, failure.New(fix, "operator.listen %q of %s %s", port.Listen, o.config, problem)
	}
	return gatewayRevoker{client}, func() {}, nil
}

func (o *revokeOptions) revoke(ctx context.Context, con *console, to revoker) error {
	now := time.Now().UTC().Truncate(time.Millisecond)
	d := o.denial
	d.Until = now.Add(o.length)
	if o.signIn {
		d.IssuedBefore = now.Add(clockDifference)
	}
	revoked, inMemory, err := to.revoke(ctx, d)
	if err != nil {
		return err
	}
	if inMemory {
		con.Note("the revocation is in the memory of this gateway: no other gateway knows it, and a restart forgets it")
	}
	if o.signIn {
		con.Note("tokens that are issued more than %s from now are accepted", clockDifference)
	}
	for _, r := range revoked {
		if o.asJSON {
			err = errors.Join(err, con.printJSON(r))
		} else {
			err = errors.Join(err, con.print("revoked: "+describeRevocation(r)+"\n"))
		}
	}
	return err
}

func (o *revokeOptions) printList(ctx context.Context, con *console, from revoker) error {
	list, where, err := from.list(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b revocationport.Revocation) int { return a.Until.Compare(b.Until) })
	if o.asJSON {
		return con.printJSON(list)
	}
	var lines strings.Builder
	for _, r := range list {
		lines.WriteString(describeRevocation(r) + "\n")
	}
	con.Note("revocations in %s that have not ended: %d", where, len(list))
	return con.print(lines.String())
}

// describeRevocation returns what a revocation matches, and its end.
func describeRevocation(r revocationport.Revocation) string {
	text := ""
	for _, part := range r.Texts() {
		if part.Value != "" {
			text += part.Name + "=" + quoteValue(part.Value) + " "
		}
	}
	if r.IssuedBefore != nil {
		text += "issued-before=" + r.IssuedBefore.Format(time.RFC3339) + " "
	}
	return text + "until=" + r.Until.Format(time.RFC3339)
}
