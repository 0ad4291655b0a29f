package diagnose_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/diagnose"
)

// FuzzRun runs against a server and an issuer that answer anything. The report must have the
// form of every report.
func FuzzRun(f *testing.F) {
	metadata, err := json.Marshal(newIssuer(issuerURL).metadata)
	if err != nil {
		f.Fatal(err)
	}
	document := `{"resource":"` + mcpURL + `","authorization_servers":["` + issuerURL + `"],"scopes_supported":["profile"]}`
	challenge := `Bearer resource_metadata="` + mcpOrigin + prmPath + `"`
	f.Add(401, challenge, "{}", document, string(metadata), `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"1"}]}`)
	f.Add(401, `Basic realm="x", Bearer`, "<html>", `{"resource":7,"authorization_servers":null}`, "[]", `{"keys":[{"k":"c2VjcmV0"}]}`)
	f.Add(307, "Bearer resource_metadata=/x", `{"reason":"no_credentials"}`, "null", `{"issuer":"http://[::1]:4000"}`, `{"keys":null}`)
	f.Add(200, "", `{"jsonrpc":"2.0","result":{}}`, document, `{"issuer":"`+issuerURL+`","jwks_uri":"javascript:1"}`, "{}")
	f.Add(403, `Bearer scope="`, `{"reason":"forbidden_host"}`, `{"resource":"https://%"}`, `{"issuer":"https://{tenantid}"}`, "x")
	f.Fuzz(func(t *testing.T, status int, challenge, body, document, metadata, keys string) {
		answer := func(status int, text string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header()[authHeader] = []string{challenge}
				w.Header().Set("Location", body)
				w.Header().Set("Content-Type", jsonType)
				w.WriteHeader(status)
				io.WriteString(w, text)
			}
		}
		if status < 200 || status > 599 {
			status = 401
		}
		mux := http.NewServeMux()
		mux.Handle("/", answer(status, body))
		mux.Handle("/.well-known/", answer(200, document))
		is := newIssuer(issuerURL)
		for _, path := range []string{oauthPath, openidPath} {
			is.paths[path] = answer(200, metadata)
		}
		is.paths[keysPath] = answer(200, keys)
		hosts := network{mcpOrigin: mux, issuerURL: is}
		cfg := diagnose.Config{HTTPClient: &http.Client{Transport: hosts}, Token: "the-token", Origin: "https://app.example.com"}
		report, err := diagnose.Run(t.Context(), cfg, mcpURL)
		if err != nil {
			t.Fatal(err)
		}
		checkForm(t, report)
	})
}

// FuzzTarget runs with any target. Every host exists and answers 404.
func FuzzTarget(f *testing.F) {
	for _, target := range []string{mcpURL, "mcp.example.com", "pk_test_x", "https://clerk.example.com", "http://[::1]:3000/mcp?x=1", "https://h/%2f"} {
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		if target == "" {
			return // the environment
		}
		cfg := diagnose.Config{HTTPClient: &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			return network{req.URL.Scheme + "://" + req.URL.Host: http.NotFoundHandler()}.RoundTrip(req)
		})}}
		report, err := diagnose.Run(t.Context(), cfg, target)
		if err != nil {
			return
		}
		checkForm(t, report)
	})
}
