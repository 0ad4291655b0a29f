package token_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
	"github.com/gatehouse-mcp/gatehouse/internal/keys"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// guardConfig is a server with the rules of strictVerifier and the keys of the issuer that a key
// set can have.
func guardConfig() gatehouse.Config {
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	for kid, public := range issuerKeys() {
		if kid == "weak" || kid == "p521" || kid == "p384" {
			continue // a static key set must not have keys that cannot be used
		}
		key := must(keys.JWK(public[0]))
		key["kid"] = kid
		set.Keys = append(set.Keys, key)
	}
	rules := strictVerifier()
	return gatehouse.Config{
		Resource:   resource,
		RateLimits: gatehouse.RateLimits{InsecureUnlimitedFailedSignIns: true}, // the corpus comes from one address
		Logger:     slog.New(slog.DiscardHandler),
		Provider: gatehouse.Provider{
			Name:       "test",
			Issuer:     issuer,
			PublicKeys: must(json.Marshal(set)),
			Tokens:     gatehouse.TokenRules(rules.Rules),
		},
	}
}

// TestExplainAgreesWithGuard checks for each specimen that package diagnose says what a guard does,
// with keys and without them, and that its first failed rule has the guard's reason.
func TestExplainAgreesWithGuard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(now))
		cfg := guardConfig()
		offline := cfg
		offline.Provider.PublicKeys = nil
		var why gatehouse.Reason
		guarded := cfg
		guarded.OnReject = func(_ *http.Request, r gatehouse.Rejection) { why = r.Reason }
		guard := must(gatehouse.New(guarded))
		defer guard.Close()
		handler := guard.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { why = accepted }))
		for _, s := range corpus() {
			raw := strings.TrimSpace(s.Raw)
			r := httptest.NewRequest(http.MethodPost, resource, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
			if raw != "" {
				r.Header.Set("Authorization", "Bearer "+raw)
			}
			r.Header.Set("Content-Type", "application/json")
			why = "not judged"
			handler.ServeHTTP(httptest.NewRecorder(), r)
			checkExplanation(t, s.Name, cfg, raw, why)
			if !isKeyReason(why) {
				checkOffline(t, s.Name, offline, raw, why)
			}
		}
	})
}

func isKeyReason(why reason.Reason) bool {
	switch why {
	case reason.UnknownKey, reason.BadSignature, reason.MissingKeyID:
		return true
	}
	return false
}

func explain(t *testing.T, name string, cfg gatehouse.Config, raw string) *diagnose.TokenReport {
	t.Helper()
	if len(raw) > diagnose.MaxTokenText {
		return nil
	}
	report, err := diagnose.Token(t.Context(), diagnose.TokenConfig{Text: []byte(raw), Server: cfg})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return report
}

func checkExplanation(t *testing.T, name string, cfg gatehouse.Config, raw string, why gatehouse.Reason) {
	t.Helper()
	report := explain(t, name, cfg, raw)
	if report == nil {
		return
	}
	var first *diagnose.Finding
	for i, f := range report.Findings {
		// What the text is is not a rule of the guard, unless it is more than a token.
		if f.Level == diagnose.Fault && f.ID != "token.kind" {
			first = &report.Findings[i]
			break
		}
	}
	switch {
	case first == nil && why != accepted && raw != "":
		t.Errorf("%s: got no failed rule, want one with the reason %s", name, why)
	case first != nil && first.ID == "token.text":
		if why != reason.MalformedCredentials {
			t.Errorf("%s: got that the text is more than a token, want the reason %s", name, why)
		}
		return // the token within is explained
	case first != nil && !strings.Contains(first.Consequence, "(reason "+string(why)+")"):
		t.Errorf("%s: got %s: %s (%s), want the reason %q", name, first.ID, first.Consequence, first.Evidence, why)
	}
	if report.Reason != why || (report.Verdict == diagnose.Accepted) != (why == accepted) {
		t.Errorf("%s: got %s %q, want what the guard says: %q", name, report.Verdict, report.Reason, why)
	}
	checkNoSecret(t, name, report, raw)
}

// checkOffline checks the verdict without keys: a guard stops at the signature, and the rules after it
// are checked nevertheless.
func checkOffline(t *testing.T, name string, cfg gatehouse.Config, raw string, why gatehouse.Reason) {
	t.Helper()
	report := explain(t, name, cfg, raw)
	if report == nil || report.Findings[0].ID == "token.text" {
		return
	}
	want := why
	verdict := diagnose.Rejected
	if why == accepted {
		verdict = diagnose.AcceptedIf
	}
	if report.Reason != want || report.Verdict != verdict {
		// Whether an algorithm fits its key is not known without keys.
		if why != reason.WrongAlgorithm && why != reason.Malformed {
			t.Errorf("%s, without keys: got %s %q, want %s %q", name, report.Verdict, report.Reason, verdict, want)
		}
	}
}

// checkNoSecret checks that the report has no part of the token with which someone could sign in.
func checkNoSecret(t *testing.T, name string, report *diagnose.TokenReport, raw string) {
	t.Helper()
	text := string(must(json.Marshal(report)))
	const enough = 24 // characters of a signature that identify it
	for part := range strings.SplitSeq(raw, ".") {
		if len(part) >= enough && strings.Contains(text, part[len(part)-enough:]) {
			t.Errorf("%s: the report has a part of the token", name)
		}
	}
}
