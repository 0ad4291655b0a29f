package gatehouse_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
)

// A fault names the setting that the user wrote, and there is one fault for each.
func TestFaultsNameWhatWasWritten(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	oidc := func(issuer string) func(*gatehouse.Config) {
		return func(cfg *gatehouse.Config) { cfg.Provider = gatehouse.OIDC(issuer) }
	}
	keyFile := func(name string) func(*gatehouse.Config) {
		return func(cfg *gatehouse.Config) { cfg.KeyFile = name }
	}
	tests := []struct {
		name   string
		change func(*gatehouse.Config)
		want   string // empty means that the configuration is valid
	}{
		{"control", func(*gatehouse.Config) {}, ""},
		{
			"RequiredScopes",
			func(cfg *gatehouse.Config) { cfg.RequiredScopes = []string{"a b"} },
			`RequiredScopes "a b" is not a scope; use one word of printable ASCII for each scope (RFC 6749 section 3.3)`,
		},
		{
			"RequiredScopes with offline_access",
			func(cfg *gatehouse.Config) { cfg.RequiredScopes = []string{"offline_access"} },
			`RequiredScopes "offline_access" is not a scope of the resource; remove it; clients that use refresh tokens ask for it themselves`,
		},
		{
			"ScopesSupported",
			func(cfg *gatehouse.Config) { cfg.Provider.ScopesSupported = []string{""} },
			`Provider.ScopesSupported has an empty scope; remove it`,
		},
		{
			"ImpliedScopes",
			func(cfg *gatehouse.Config) { cfg.ImpliedScopes = map[string][]string{"a": {"b c"}} },
			`ImpliedScopes "b c" is not a scope; use one word of printable ASCII for each scope (RFC 6749 section 3.3)`,
		},
		{
			"no provider",
			func(cfg *gatehouse.Config) { cfg.Provider = gatehouse.Provider{} },
			`Provider is missing; set it to the identity provider, like clerk.FromEnv() or gatehouse.OIDC("https://issuer.example.com")`,
		},
		{"empty issuer", oidc(""), `issuer of OIDC is empty; pass the URL of the issuer, like "https://issuer.example.com"`},
		{
			"a provider without issuer",
			func(cfg *gatehouse.Config) { cfg.Provider = gatehouse.Provider{Name: "Acme"} },
			`Provider.Issuer is missing; set it to the URL of the issuer, like "https://issuer.example.com"`,
		},
		{
			"discovery URL",
			oidc("https://issuer.example.com/.well-known/openid-configuration"),
			`Provider.Issuer "https://issuer.example.com/.well-known/openid-configuration" is the URL of a metadata document; ` +
				`write "https://issuer.example.com"`,
		},
		{
			"discovery URL, appended to a path",
			oidc("https://issuer.example.com/realms/a/.well-known/openid-configuration"),
			`Provider.Issuer "https://issuer.example.com/realms/a/.well-known/openid-configuration" is the URL of a metadata document; ` +
				`write "https://issuer.example.com/realms/a"`,
		},
		{
			"discovery URL, inserted before a path",
			oidc("https://issuer.example.com/.well-known/oauth-authorization-server/tenant"),
			`Provider.Issuer "https://issuer.example.com/.well-known/oauth-authorization-server/tenant" is the URL of a metadata document; ` +
				`write "https://issuer.example.com/tenant"`,
		},
		{
			"Clerk without https",
			func(cfg *gatehouse.Config) { cfg.Provider = clerk.Provider("http://verb-noun-42.clerk.accounts.dev") },
			`FrontendAPIURL "http://verb-noun-42.clerk.accounts.dev" is not https; paste "https://verb-noun-42.clerk.accounts.dev"`,
		},
		{
			"Clerk with a strange host",
			func(cfg *gatehouse.Config) { cfg.Provider = clerk.Provider("https://a..b") },
			`FrontendAPIURL "https://a..b" has host "a..b", which is neither a DNS name nor an address; write the host clients connect to`,
		},
		{"key file", keyFile(filepath.Join(folder, "keys.json")), ""},
		{"key file that exists", keyFile(file), ""},
		{
			"key file in a missing folder",
			keyFile(filepath.Join(folder, "no", "keys.json")),
			`KeyFile "` + filepath.Join(folder, "no", "keys.json") + `" is in a folder that cannot be used; ` +
				`create the folder "` + filepath.Join(folder, "no") + `", or allow access to it`,
		},
		{
			"key file below a file",
			keyFile(filepath.Join(file, "keys.json")),
			`KeyFile "` + filepath.Join(file, "keys.json") + `" is below "` + file + `", which is not a folder; ` +
				`set it to a file in an existing folder`,
		},
		{
			"key file that is a folder",
			keyFile(folder),
			`KeyFile "` + folder + `" is a folder; set it to a file, like "` + filepath.Join(folder, "keys.json") + `"`,
		},
	}
	for _, test := range tests {
		cfg := gatehouse.Config{Resource: "https://mcp.example.com/mcp", Provider: gatehouse.OIDC("https://issuer.example.com")}
		test.change(&cfg)
		guard, err := gatehouse.New(cfg)
		switch {
		case err == nil && test.want == "":
			guard.Close()
		case err == nil || err.Error() != "gatehouse: "+test.want:
			t.Errorf("%s:\n got %v\nwant gatehouse: %s", test.name, err, test.want)
		}
	}
}

// An issuer that calls itself something else is one error, at Ready and in the log.
func TestIssuerWithAnotherName(t *testing.T) {
	tests := []struct{ name, own, fix string }{
		{"a slash at the end", "URL/", `which is "URL/"; write that`},
		{"another host", "https://issuer.example.com", `which is "https://issuer.example.com"; write that`},
		{"not an issuer", "https://login.example.com/{tenantid}", "correct the metadata, or write the issuer that tokens have in iss"},
	}
	for _, test := range tests {
		var url string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			own := strings.ReplaceAll(test.own, "URL", url)
			io.WriteString(w, `{"issuer":"`+own+`","jwks_uri":"`+url+`/keys"}`)
		}))
		url = server.URL
		var log bytes.Buffer
		guard := newGuard(t, newIssuer(t), func(cfg *gatehouse.Config) {
			cfg.Provider = gatehouse.OIDC(url)
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		err := guard.Ready(t.Context())
		want := `gatehouse: Provider.Issuer "` + url + `" is not what the issuer calls itself in its metadata, `
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), strings.ReplaceAll(test.fix, "URL", url)) {
			t.Errorf("%s: Ready: %v", test.name, err)
		}
		token := newIssuer(t).token(resource, testissuer.Claim("iss", url))
		resp := send(guard.Wrap(behind), request{header: bearer(token)})
		if got := body(t, resp); resp.StatusCode != 503 || strings.Contains(got, url) {
			t.Errorf("%s: got %d %s, want 503 with a fixed phrase", test.name, resp.StatusCode, got)
		}
		// Both documents and the keys fail for this reason; the cause is logged once. The
		// other line is that of the rejected request.
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "level=ERROR") || !strings.Contains(lines[0], "calls itself") ||
			!strings.Contains(lines[1], "provider_unavailable") {
			t.Errorf("%s: got %d lines, want 2:\n%s", test.name, len(lines), log.String())
		}
		server.Close()
	}
}

// Most issuers have only one of the two metadata documents. That is not worth a warning, and
// an issuer with neither of them is.
func TestOneMetadataDocumentIsEnough(t *testing.T) {
	const both, none = "openid-configuration oauth-authorization-server", ""
	for _, published := range []string{both, "openid-configuration", "oauth-authorization-server", none} {
		var url string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			name, metadata := strings.CutPrefix(r.URL.Path, "/.well-known/")
			switch {
			case !metadata:
				io.WriteString(w, testissuer.JWKS(testissuer.NewKey(keyID)))
			case slices.Contains(strings.Fields(published), name):
				io.WriteString(w, `{"issuer":"`+url+`","jwks_uri":"`+url+`/keys"}`)
			default:
				http.NotFound(w, r)
			}
		}))
		url = server.URL
		var log testlog.Buffer
		guard := newGuard(t, newIssuer(t), func(cfg *gatehouse.Config) {
			cfg.Provider = gatehouse.OIDC(url)
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		err := guard.Ready(t.Context())
		for _, path := range []string{"oauth-authorization-server", "openid-configuration"} {
			send(guard.MetadataHandler(), request{method: "GET", target: "/.well-known/" + path})
		}
		if warned := strings.Contains(log.String(), "level=WARN"); (err != nil) != (published == none) || warned != (published == none) {
			t.Errorf("issuer that publishes %q: Ready: %v; log:\n%s", published, err, log.String())
		}
		server.Close()
	}
}

// The hint about a type fits a provider that writes JWT into its access tokens.
func TestHintsFitTheProvider(t *testing.T) {
	is := newIssuer(t)
	const types = "; if your provider writes access tokens like that, set TokenRules.Types to it"
	tests := []struct {
		name  string
		typ   any
		hints map[gatehouse.Reason]string
		want  string
	}{
		{"JWT", "JWT", nil, `typ is "JWT"` + types},
		{"none", nil, nil, "the token has no typ" + types},
		{"a provider with a hint", "JWT", map[gatehouse.Reason]string{"wrong_type": "press the button"}, "press the button"},
	}
	for _, test := range tests {
		var got gatehouse.Rejection
		handler := newGuard(t, is, func(cfg *gatehouse.Config) {
			cfg.Provider.Hints = test.hints
			cfg.OnReject = func(_ *http.Request, r gatehouse.Rejection) { got = r }
		}).Wrap(behind)
		send(handler, request{header: bearer(is.token(resource, testissuer.Header("typ", test.typ)))})
		if got.Reason != "wrong_type" || !strings.HasPrefix(got.Hint, test.want) {
			t.Errorf("%s: got %s and hint %q, want %q", test.name, got.Reason, got.Hint, test.want)
		}
	}
}

// A token that a rule marks as one of another kind has nothing to do with TokenRules.Types.
func TestHintsAboutMarkedTokens(t *testing.T) {
	is := newIssuer(t)
	const marked = "have the client send its access token: this token is marked as "
	const control = `typ is "JWT"; if your provider writes access tokens like that, set TokenRules.Types`
	for _, test := range []struct {
		name string
		mint testissuer.Change
		want string
	}{
		{"control: typ", testissuer.Header("typ", "JWT"), control},
		{"a claim", testissuer.Claim("nonce", "n"), marked + `"ID token"`},
		{"a claim that is also a header parameter", testissuer.Claim("typ", "Refresh"), marked + `"refresh token"`},
		{"a header parameter", testissuer.Header("cat", "session"), marked + `"session token"`},
	} {
		var got gatehouse.Rejection
		handler := newGuard(t, is, func(cfg *gatehouse.Config) {
			cfg.Provider.Tokens.RejectedHeader = map[string]map[string]string{"cat": {"session": "session token"}}
			cfg.Provider.Tokens.RejectedClaims = map[string]map[string]string{
				"nonce": {"": "ID token"},
				"typ":   {"Refresh": "refresh token"},
			}
			cfg.OnReject = func(_ *http.Request, r gatehouse.Rejection) { got = r }
		}).Wrap(behind)
		send(handler, request{header: bearer(is.token(resource, test.mint))})
		if got.Reason != "wrong_type" || !strings.HasPrefix(got.Hint, test.want) {
			t.Errorf("%s: got %s and hint %q, want %q", test.name, got.Reason, got.Hint, test.want)
		}
	}
}

// If clients cannot ask for more scopes later, the first challenge has those of every
// requirement.
func TestScopesFixedAtRegistration(t *testing.T) {
	for _, fixed := range []bool{false, true} {
		guard := newGuard(t, newIssuer(t), requirements, func(cfg *gatehouse.Config) {
			cfg.RequiredScopes = []string{"notes"}
			cfg.Provider.ScopesFixedAtRegistration = fixed
		})
		want := "notes profile email"
		if fixed {
			want += " notes:write org:read notes:draft notes:read"
		}
		resp := send(guard.Wrap(behind), request{})
		if got := resp.Header.Get("WWW-Authenticate"); !strings.HasSuffix(got, ` scope="`+want+`"`) {
			t.Errorf("fixed %v: challenge %s, want scope %q", fixed, got, want)
		}
		resp = send(guard.MetadataHandler(), request{method: "GET", target: bareMetadata})
		if got := body(t, resp); !strings.Contains(got, `"scopes_supported":["`+strings.ReplaceAll(want, " ", `","`)+`"]`) {
			t.Errorf("fixed %v: metadata %s, want scopes %q", fixed, got, want)
		}
		warned := strings.Contains(strings.Join(guard.Warnings(), "\n"), "notes:write, org:read, notes:draft, notes:read")
		if warned != fixed {
			t.Errorf("fixed %v: warnings %q", fixed, guard.Warnings())
		}
	}
}

// Many issuers publish a key for encryption next to those for signatures. That is no fault.
func TestKeyForEncryptionIsNotLogged(t *testing.T) {
	n := base64.RawURLEncoding.EncodeToString(testissuer.RSAKey(keyID).N.Bytes())
	for use, logged := range map[string]bool{"sig": false, "enc": false, "other": true} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"keys":[{"kty":"RSA","use":"sig","kid":"a","n":%q,"e":"AQAB"},{"kty":"RSA","use":%q,"kid":"b","n":%q,"e":"AQAB"}]}`,
				n, use, n)
		}))
		var log bytes.Buffer
		guard := newGuard(t, newIssuer(t), func(cfg *gatehouse.Config) {
			cfg.Provider = gatehouse.OIDC(server.URL)
			cfg.Provider.JWKSURL = server.URL + "/keys"
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		if err := guard.Ready(t.Context()); err != nil || strings.Contains(log.String(), "keys skipped") != logged {
			t.Errorf("use %q: got %v and log %s, want a line about skipped keys: %v", use, err, log.String(), logged)
		}
		server.Close()
	}
}
