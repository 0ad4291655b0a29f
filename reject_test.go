package gatehouse_test

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

// Anyone can send a request that is rejected, so the text that it adds to the log is
// bounded, whatever part of it is long.
func TestLogOfARejectionIsBounded(t *testing.T) {
	const maxLine = 4096
	long := strings.Repeat("M", 100_000)
	controls := strings.Repeat("\x01", 100_000) // six bytes each in JSON
	is := newIssuer(t)
	valid := is.token(resource)
	claim := func(name string, value any) request {
		return request{header: bearer(is.token(resource, testissuer.Claim(name, value))), body: call("write")}
	}
	unsigned := func(header string) request {
		parts := strings.Split(valid, ".")
		return request{header: bearer(base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + parts[1] + "." + parts[2])}
	}
	read := func(uri string) request {
		return request{header: bearer(valid), body: `{"method":"resources/read","params":{"uri":"` + uri + `"}}`}
	}
	short := strings.Repeat("s", 8000) // a token has at most 16 KiB
	tests := []struct {
		name    string
		request request
		reason  string
	}{
		{"method and path", request{method: long, target: "/" + long}, "no_credentials"},
		{"path of control characters", request{target: "/" + strings.ReplaceAll(controls, "\x01", "%01")}, "no_credentials"},
		{"host", request{host: long}, "forbidden_host"},
		{"host of control characters", request{host: controls}, "forbidden_host"},
		{"origin", request{header: http.Header{"Origin": {long}}}, "forbidden_origin"},
		{"scheme", authorization(long + " x"), "wrong_scheme"},
		{"token", authorization("Bearer " + long), "too_large"},
		{"query", request{target: "/mcp?access_token=" + long}, "token_in_query"},
		{"typ", unsigned(`{"alg":"RS256","kid":"key-1","typ":"` + short + `"}`), "wrong_type"},
		{"alg", unsigned(`{"typ":"at+jwt","kid":"key-1","alg":"` + short + `"}`), "wrong_algorithm"},
		{"kid", unsigned(`{"typ":"at+jwt","alg":"RS256","kid":"` + short + `"}`), "malformed"},
		{"iss", claim("iss", short), "wrong_issuer"},
		{"aud", claim("aud", short), "wrong_audience"},
		{"sub", claim("sub", short), "insufficient_scope"},
		{"client_id", claim("client_id", short), "insufficient_scope"},
		{"scope", claim("scope", strings.Repeat("ab ", 2000)), "insufficient_scope"},
		{"resource", read("notes://" + long), "resource_spelling"},
		{"spelling of a resource", read("notes://x/../all?" + strings.Repeat("q", 1900)), "resource_spelling"},
		{"body", request{header: bearer(valid), body: `{"` + long + `":1,"` + long + `":1}`}, "body_malformed"},
		{"method of the body", request{header: bearer(valid), body: `{"method":"` + long + `","method":1}`}, "body_malformed"},
		{"session", request{header: with(bearer(valid), "Mcp-Session-Id", strings.Repeat(long+",", 9))}, ""},
		{"headers of the operation", request{header: http.Header{"Mcp-Method": {long}, "Mcp-Name": {long}}}, "no_credentials"},
	}
	for _, test := range tests {
		var log bytes.Buffer
		handler := newGuard(t, is, requirements, func(cfg *gatehouse.Config) {
			cfg.Logger = slog.New(slog.NewJSONHandler(&log, nil))
		}).Wrap(behind)
		send(handler, test.request)
		for line := range strings.SplitSeq(log.String(), "\n") {
			if len(line) > maxLine {
				t.Errorf("%s: got a line of %d bytes, want at most %d: %.300s", test.name, len(line), maxLine, line)
			}
		}
		if !strings.Contains(log.String(), `"reason":"`+test.reason) {
			t.Errorf("%s: the log lacks the reason %q: %.500s", test.name, test.reason, log.String())
		}
	}
}
