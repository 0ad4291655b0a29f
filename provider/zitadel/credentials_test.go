package zitadel

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

var testKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// keyFile returns the path of a key file as ZITADEL writes it, with the changes.
func keyFile(t *testing.T, changes map[string]any) string {
	t.Helper()
	private, err := testKey()
	if err != nil {
		t.Fatal(err)
	}
	content := map[string]any{
		"type": "application", "keyId": "391190000000000099", "appId": "391190000000000002", "clientId": client,
		"key": string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})),
	}
	for name, value := range changes {
		content[name] = value
	}
	text, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, string(text))
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	private, err := testKey()
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	const fileFix = "; set it to the path of the JSON file that the Management Console downloads for an API application (Keys → New)"
	for _, tt := range []struct {
		name       string
		cfg        Config
		variables  map[string]string
		introspect bool
		want       string // error, with %FILE% for the path in KeyFile; empty means none
	}{
		{name: "none"},
		{name: "client and secret", cfg: Config{ClientID: client, ClientSecret: "the secret"}, introspect: true},
		{name: "environment", variables: map[string]string{clientVariable: client, clientSecretVariable: "the secret"}, introspect: true},
		{name: "all tokens", cfg: Config{ClientID: client, ClientSecret: "the secret", IntrospectAll: true}, introspect: true},
		{name: "key file", cfg: Config{KeyFile: keyFile(t, nil)}, introspect: true},
		{name: "key file and its client", cfg: Config{KeyFile: keyFile(t, nil), ClientID: client}, introspect: true},
		{
			name:       "key in PKCS #8",
			cfg:        Config{KeyFile: keyFile(t, map[string]any{"key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))})},
			introspect: true,
		},
		{
			name: "client without secret",
			cfg:  Config{ClientID: client},
			want: "ZITADEL_CLIENT_SECRET is missing; set it to the secret of the API application with the client ID in ClientID, or remove that",
		},
		{
			name:      "secret without client",
			variables: map[string]string{clientSecretVariable: "the secret"},
			want:      "ZITADEL_CLIENT_ID is missing; set it to the client ID of the API application that ZITADEL_CLIENT_SECRET belongs to",
		},
		{
			name:      "secret and key file",
			cfg:       Config{KeyFile: keyFile(t, nil)},
			variables: map[string]string{clientVariable: client, clientSecretVariable: "the secret"},
			want:      `KeyFile "%FILE%" is set in addition to ZITADEL_CLIENT_SECRET; set the one that fits the authentication method of the API application`,
		},
		{
			name: "key file of another client",
			cfg:  Config{KeyFile: keyFile(t, nil), ClientID: "391190000000000007"},
			want: `ClientID "391190000000000007" is not the client of KeyFile, which is "391190000000000001"; remove it, or use the key of this client`,
		},
		{
			name: "all tokens, without credentials",
			cfg:  Config{IntrospectAll: true},
			want: "IntrospectAll is set without credentials; set ZITADEL_CLIENT_ID and ZITADEL_CLIENT_SECRET, or ZITADEL_KEY_FILE, to those of an API application in the project",
		},
		{
			name: "no such file",
			cfg:  Config{KeyFile: filepath.Join(t.TempDir(), "no.json")},
			want: `KeyFile "%FILE%" cannot be read: no such file or directory` + fileFix,
		},
		{
			name: "folder",
			cfg:  Config{KeyFile: t.TempDir()},
			want: `KeyFile "%FILE%" cannot be read: is a directory` + fileFix,
		},
		{
			name: "other file",
			cfg:  Config{KeyFile: writeFile(t, "-----BEGIN RSA PRIVATE KEY-----")},
			want: `KeyFile "%FILE%" is not a key file of ZITADEL` + fileFix,
		},
		{
			name: "service account",
			cfg:  Config{KeyFile: keyFile(t, map[string]any{"type": "serviceaccount", "userId": "259241944654282754"})},
			want: `KeyFile "%FILE%" is the key of a service account, which may not check tokens` + fileFix,
		},
		{
			name: "no client",
			cfg:  Config{KeyFile: keyFile(t, map[string]any{"clientId": ""})},
			want: `KeyFile "%FILE%" is not the key file of an application, because clientId or keyId is missing` + fileFix,
		},
		{
			name: "no PEM",
			cfg:  Config{KeyFile: keyFile(t, map[string]any{"key": "secret"})},
			want: `KeyFile "%FILE%" has no key in the form of PEM` + fileFix,
		},
		{
			name: "no RSA key",
			cfg:  Config{KeyFile: keyFile(t, map[string]any{"key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"})},
			want: `KeyFile "%FILE%" has no RSA key` + fileFix,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.cfg.Domain, tt.cfg.ProjectID = domain, project
			p := tt.cfg.provider(setting.From(tt.variables))
			checkFault(t, p, strings.ReplaceAll(tt.want, "%FILE%", tt.cfg.KeyFile))
			if tt.want == "" && ((p.Introspect != nil) != tt.introspect || p.OpaqueOnly != tt.cfg.IntrospectAll) {
				t.Errorf("Introspect is set: %t, and OpaqueOnly: %t, want %t and %t", p.Introspect != nil, p.OpaqueOnly, tt.introspect, tt.cfg.IntrospectAll)
			}
		})
	}
}

// endpoint answers as an instance, and keeps what it was asked.
type endpoint struct {
	header http.Header
	form   url.Values
}

// RoundTrip implements [http.RoundTripper].
func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := `{"issuer": "` + domain + `", "introspection_endpoint": "` + domain + `/oauth/v2/introspect"}`
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		e.header = r.Header
		if e.form, err = url.ParseQuery(string(body)); err != nil {
			return nil, err
		}
		answer = `{"active": true, "sub": "383942323576245195"}`
	}
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"application/json"}},
		Body:       io.NopCloser(strings.NewReader(answer)),
		Request:    r,
	}, nil
}

// TestAuthentication checks how this server authenticates at the introspection endpoint.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	ask := func(t *testing.T, cfg Config) *endpoint {
		t.Helper()
		asked := &endpoint{}
		cfg.Domain, cfg.ProjectID, cfg.HTTPClient = domain, project, &http.Client{Transport: asked}
		p := New(cfg)
		if p.Err != nil {
			t.Fatal(p.Err)
		}
		if _, err := p.Introspect(t.Context(), "the-token"); err != nil {
			t.Fatal(err)
		}
		if got := asked.form.Get("token"); got != "the-token" {
			t.Errorf("token is %q, want that of the caller", got)
		}
		return asked
	}
	t.Run("secret", func(t *testing.T) {
		t.Parallel()
		asked := ask(t, Config{ClientID: client, ClientSecret: gatehouse.Secret("the secret")})
		r := http.Request{Header: asked.header}
		if user, password, _ := r.BasicAuth(); user != client || password != "the+secret" {
			t.Errorf("credentials are %q and %q, want those of the application, form-encoded", user, password)
		}
	})
	t.Run("key file", func(t *testing.T) {
		t.Parallel()
		asked := ask(t, Config{KeyFile: keyFile(t, nil)})
		private, err := testKey()
		if err != nil {
			t.Fatal(err)
		}
		var claims jwt.RegisteredClaims
		assertion, err := jwt.ParseWithClaims(asked.form.Get("client_assertion"), &claims, func(*jwt.Token) (any, error) { return private.Public(), nil })
		if err != nil {
			t.Fatal(err)
		}
		if got, want := assertion.Header["kid"], "391190000000000099"; got != want {
			t.Errorf("kid is %v, want %v", got, want)
		}
		got := []string{claims.Issuer, claims.Subject, strings.Join(claims.Audience, " ")}
		if diff := cmp.Diff([]string{client, client, domain}, got); diff != "" {
			t.Errorf("iss, sub and aud (-want +got):\n%s", diff)
		}
	})
}
