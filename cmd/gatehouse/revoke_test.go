package main

import (
	"io"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

// Each command line changes one thing of a valid one, which fails because no store runs.
func TestRevokeFaults(t *testing.T) {
	t.Parallel()
	folder, file := filesOfTest(t)
	const endpoint = "endpoints: [{url: \"https://mcp.example.com/mcp\", upstream: \"http://localhost:8000\"}]\n"
	const store = "revocations: {postgres_url: \"postgres://127.0.0.1:1/app\"}\n"
	const provider = "provider: {name: oidc, issuer: \"https://issuer.example.com\"}\n"
	const two = "providers: [{name: oidc, issuer: \"https://issuer.example.com\"}, {name: oidc, issuer: \"https://other.example.com\"}]\n"
	config := file("gateway.yaml", store+provider+endpoint)
	pgURL, badURL := file("url", "postgres://app:hunter2@127.0.0.1:1/app"), file("bad", "app:hunter2@redis:6379")
	for name, tt := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"control": {[]string{"--config", config, "--subject", "user_1"}, exitFailure,
			[]string{"error: PostgreSQL at 127.0.0.1:1/app: appending the revocation: ", "hint: check that the store runs"}},
		"control, URL file": {[]string{"--postgres-url-file", pgURL, "--subject", "user_1"}, exitFailure, []string{"appending the revocation"}},
		"control, list":     {[]string{"--config", config, "--list"}, exitFailure, []string{"reading the revocations"}},
		"control, tables":   {[]string{"--config", config, "--create-tables"}, exitFailure, []string{"creating the tables"}},
		"no one":            {[]string{"--config", config}, exitUsage, []string{"says neither which user nor which session", "hint: add --subject, --session, --client or --token-id"}},
		"only an issuer":    {[]string{"--config", config, "--issuer", "https://issuer.example.com"}, exitUsage, []string{"says neither which user"}},
		"no store":          {[]string{"--subject", "user_1"}, exitUsage, []string{"names 0 stores, want one", "add --config FILE with the file of the gateway"}},
		"two stores":        {[]string{"--subject", "user_1", "--config", config, "--postgres-url-file", pgURL}, exitUsage, []string{"names 2 stores, want one"}},
		"prefix":            {[]string{"--subject", "user_1", "--config", config, "--prefix", "x"}, exitUsage, []string{"--prefix has no effect without --redis-url-file"}},
		"no time":           {[]string{"--config", config, "--subject", "user_1", "--for", "0s"}, exitUsage, []string{"--for 0s is not between"}},
		"too long":          {[]string{"--config", config, "--subject", "user_1", "--for", "9999h"}, exitUsage, []string{"is not between 1s and 2160h0m0s"}},
		"list and user":     {[]string{"--config", config, "--list", "--subject", "user_1"}, exitUsage, []string{"--list and --create-tables revoke nothing"}},
		"long value":        {[]string{"--config", config, "--subject", strings.Repeat("x", 1025)}, exitUsage, []string{"--subject is not UTF-8 or longer than 1024 bytes"}},
		"another issuer": {[]string{"--config", config, "--subject", "user_1", "--issuer", "https://issuer.example"}, exitUsage,
			[]string{`--issuer: "https://issuer.example" is not an issuer of the providers`, "hint: use --issuer with one of https://issuer.example.com"}},
		"which issuer": {[]string{"--config", file("two.yaml", store+two+endpoint), "--subject", "user_1"}, exitUsage,
			[]string{"there are several issuers, at which the same value may be of different users", "use --issuer with one of https://issuer.example.com, https://other.example.com"}},
		"file without a store": {[]string{"--config", file("without.yaml", provider+endpoint), "--subject", "user_1"}, exitFailure,
			[]string{"has no section revocations", `hint: add "revocations: {redis_url_file: FILE}"`}},
		"file with mistakes": {[]string{"--config", file("wrong.yaml", "colour: red\n"+store+provider+endpoint), "--subject", "user_1"}, exitFailure,
			[]string{`:1: the file has no member "colour"`}},
		"not a URL":   {[]string{"--redis-url-file", badURL, "--subject", "user_1"}, exitUsage, []string{"--redis-url-file is not a URL of the store: it cannot be read", "hint: write it like"}},
		"no URL file": {[]string{"--redis-url-file", folder + "/nothing", "--subject", "user_1"}, exitFailure, []string{"reading the URL of Redis"}},
		"all at once": {[]string{"--for", "0s", "--table", "x"}, exitUsage, []string{"says neither which user", "--for 0s", "names 0 stores", "--table has no effect"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stderr testlog.Buffer
			con := &console{stdout: io.Discard, stderr: &stderr, getenv: func(string) string { return "" }}
			code := run(t.Context(), con, append([]string{"revoke"}, tt.args...))
			if code != tt.code || strings.Contains(stderr.String(), "hunter2") {
				t.Errorf("got status %d, want %d, and no password:\n%s", code, tt.code, stderr.String())
			}
			for _, want := range tt.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("got\n%s\nwant %s", stderr.String(), want)
				}
			}
		})
	}
}
