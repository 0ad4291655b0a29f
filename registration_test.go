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
		wantHint      string // the beginning of the hint for the operator
		logged        bool
	}{
		{
			name:     "off",
			want:     "registration of clients is off at the identity provider (ISSUER): turn on dynamic client registration",
			wantHint: "turn on dynamic client registration",
			logged:   true,
		},
		{
			name:     "off, with the provider's switch",
			hint:     "flip the switch",
			want:     "is off at the identity provider (ISSUER): flip the switch",
			wantHint: "flip the switch",
			logged:   true,
		},
		{
			name:     "on",
			further:  `,"registration_endpoint":"https://issuer.example.com/register"`,
			hint:     "flip the switch",
			want:     "register at https://issuer.example.com/register",
			wantHint: "registration is on at the identity provider",
		},
		{
			name:     "on, at a strange address",
			further:  `,"registration_endpoint":"javascript:alert(1)"`,
			hint:     "flip the switch",
			want:     "register at the identity provider (ISSUER)",
			wantHint: "check that the metadata of the identity provider can be fetched",
		},
		{
			name:     "unknown",
			further:  "down",
			hint:     "flip the switch",
			want:     "register at the identity provider (ISSUER)",
			wantHint: "check that the metadata of the identity provider can be fetched",
		},
	}
	for _, test := range tests {
		var log bytes.Buffer
		var rejection gatehouse.Rejection
		url := metadataIssuer(t, test.further)
		guard := newGuard(t, newIssuer(t), func(cfg *gatehouse.Config) {
			cfg.Provider = gatehouse.OIDC(url)
			if test.hint != "" {
				cfg.Provider.Hints = map[gatehouse.Reason]string{"registration_unavailable": test.hint}
			}
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			cfg.OnReject = func(_ *http.Request, r gatehouse.Rejection) { rejection = r }
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
		if rejection.Reason != "registration_unavailable" || !strings.HasPrefix(rejection.Hint, test.wantHint) {
			t.Errorf("%s: OnReject got reason %s and hint %q, want %q", test.name, rejection.Reason, rejection.Hint, test.wantHint)
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
