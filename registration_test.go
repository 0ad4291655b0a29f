package gatehouse_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
)

// metadataIssuer is an issuer with nothing but metadata, whose members after the issuer are
// further. It sends nothing if further is "down".
func metadataIssuer(t *testing.T, further string) string {
	t.Helper()
	var url string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if further == "down" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.URL.Path != "/.well-known/oauth-authorization-server" {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, `{"issuer":"`+url+`"`+further+`}`)
	}))
	t.Cleanup(server.Close)
	url = server.URL
	return url
}

// A client that cannot register at the issuer sends the request here, and shows its user
// the description of the error.
func TestRegistration(t *testing.T) {
	tests := []struct {
		name, further string
		hint          string // of the provider
		want          string // in the description
		logged        bool
	}{
		{"off", "", "", "registration of clients is off at the identity provider (ISSUER): turn on dynamic client registration", true},
		{"off, with the provider's switch", "", "flip the switch", "is off at the identity provider (ISSUER): flip the switch", true},
		{"on", `,"registration_endpoint":"https://issuer.example.com/register"`, "", "register at https://issuer.example.com/register", false},
		{"on, at a strange address", `,"registration_endpoint":"javascript:alert(1)"`, "", "register at the identity provider (ISSUER)", false},
		{"unknown", "down", "", "register at the identity provider (ISSUER)", false},
	}
	for _, test := range tests {
		var log bytes.Buffer
		url := metadataIssuer(t, test.further)
		guard := newGuard(t, newIssuer(t), func(cfg *gatehouse.Config) {
			cfg.Provider = gatehouse.OIDC(url)
			if test.hint != "" {
				cfg.Provider.Hints = map[gatehouse.Reason]string{"registration_unavailable": test.hint}
			}
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		mux := http.NewServeMux()
		guard.Mount(mux, behind)
		for range 3 {
			resp := send(mux, request{target: "/register", body: `{"client_name":"SECRET"}`})
			var answer struct {
				Error       string `json:"error"`
				Description string `json:"error_description"`
			}
			text := body(t, resp)
			if err := json.Unmarshal([]byte(text), &answer); err != nil {
				t.Fatalf("%s: %v: %s", test.name, err, text)
			}
			want := strings.ReplaceAll(test.want, "ISSUER", url)
			if resp.StatusCode != 400 || answer.Error != "registration_not_supported" || !strings.Contains(answer.Description, want) {
				t.Errorf("%s: got %d %s, want 400 and %s", test.name, resp.StatusCode, text, want)
			}
			if strings.Contains(text, "SECRET") || strings.Contains(text, "javascript") {
				t.Errorf("%s: the answer has text of others: %s", test.name, text)
			}
			if resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: headers %v", test.name, resp.Header)
			}
		}
		want := 0
		if test.logged {
			want = 1
		}
		if got := strings.Count(log.String(), "a client cannot register"); got != want {
			t.Errorf("%s: logged %d times, want %d: %s", test.name, got, want, log.String())
		}
		if got := guard.Stats().Rejected["registration_unavailable"]; got != 3 {
			t.Errorf("%s: counted %d times, want 3", test.name, got)
		}
		resp := send(mux, request{method: "OPTIONS", target: "/register", header: http.Header{
			"Origin": {"https://app.example.com"}, "Access-Control-Request-Method": {"POST"},
		}})
		if resp.StatusCode != 204 || !strings.Contains(resp.Header.Get("Access-Control-Allow-Methods"), "POST") {
			t.Errorf("%s: preflight: status %d, headers %v", test.name, resp.StatusCode, resp.Header)
		}
		if resp := send(guard.RegistrationHandler(), request{method: "GET", target: "/register"}); resp.StatusCode != 405 {
			t.Errorf("%s: GET: status %d, want 405", test.name, resp.StatusCode)
		}
	}
}
