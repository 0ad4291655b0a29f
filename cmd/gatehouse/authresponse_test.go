package main

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

func TestReadAuthResponse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, query, wantErr string
	}{
		{"control", "code=c&state=s&iss=https://issuer", ""},
		{"error", "error=access_denied&state=s", ""},
		{"unknown parameter twice", "code=c&scope=a&scope=b", ""},
		{"nothing", "", "neither a code nor an error"},
		{"empty code", "code=&state=s", "neither a code nor an error"},
		{"code twice", "code=c&code=d&state=s", `"code" twice`},
		{"state twice", "code=c&state=s&state=t", `"state" twice`},
		{"iss twice", "code=c&state=s&iss=a&iss=b", `"iss" twice`},
		{"malformed", "code=%zz", "malformed query"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := readAuthResponse(test.query)
			wantErr(t, err, test.wantErr)
		})
	}
}

// wantErr fails the test unless err contains text, or is nil where text is "".
func wantErr(t *testing.T, err error, text string) {
	t.Helper()
	switch {
	case text == "" && err != nil:
		t.Errorf("error = %v, want none", err)
	case text != "" && err == nil:
		t.Errorf("no error, want %q", text)
	case err != nil && !strings.Contains(err.Error(), text):
		t.Errorf("error = %v, want %q", err, text)
	}
}

func TestCheckAuthResponse(t *testing.T) {
	t.Parallel()
	const issuer = "https://issuer.example.com"
	good := authResponse{code: "c", state: "the state", iss: issuer}
	for _, test := range []struct {
		name       string
		change     func(r *authResponse)
		unannounce bool // the metadata does not promise iss
		wantErr    string
	}{
		{"control", func(*authResponse) {}, false, ""},
		{"iss unannounced", func(*authResponse) {}, true, ""},
		{"no iss, none announced", func(r *authResponse) { r.iss = "" }, true, ""},
		{"no iss", func(r *authResponse) { r.iss = "" }, false, "answer names no issuer"},
		{"other iss", func(r *authResponse) { r.iss += "/" }, false, "answer comes from issuer"},
		{"other iss, none announced", func(r *authResponse) { r.iss += "/" }, true, "answer comes from issuer"},
		{"other state", func(r *authResponse) { r.state = "The state" }, false, "state of the answer"},
		{"no state", func(r *authResponse) { r.state = "" }, false, "state of the answer"},
		{"error", func(r *authResponse) { r.err = "server_error" }, false, "could not answer: server_error"},
		{"error without state", func(r *authResponse) { r.err, r.state = "access_denied", "" }, false, "not let in"},
		{"error with other state", func(r *authResponse) { r.err, r.state = "access_denied", "x" }, false, "state of the answer"},
		{"error of another issuer", func(r *authResponse) { r.err, r.iss = "access_denied", "https://evil.example.com" }, false, "answer comes from issuer"},
		{"error without iss", func(r *authResponse) { r.err, r.iss = "access_denied", "" }, false, "not let in"},
		{"unknown resource", func(r *authResponse) { r.err, r.description = "invalid_target", "no such" }, false, "refuses the resource: invalid_target: no such"},
		{"error of another kind", func(r *authResponse) { r.err = "unauthorized_client" }, false, "refuses to sign in: unauthorized_client"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			response := good
			test.change(&response)
			meta := &oauthex.AuthServerMeta{Issuer: issuer, AuthorizationResponseIssParameterSupported: !test.unannounce}
			err := response.check("the state", meta)
			wantErr(t, err, test.wantErr)
			if f := (*failure)(nil); err != nil && (!errors.As(err, &f) || f.hint == "") {
				t.Errorf("error %v has no hint", err)
			}
		})
	}
}

// FuzzReadAuthResponse: what is accepted has a code or an error, and is what the
// query says.
func FuzzReadAuthResponse(f *testing.F) {
	for _, seed := range []string{
		"code=c&state=s&iss=https%3A%2F%2Fissuer", "error=access_denied&error_description=no+way&state=s", "code=a&code=b", "code=%zz", "", "code;error=x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		got, err := readAuthResponse(query)
		if err != nil {
			return
		}
		if got.code == "" && got.err == "" {
			t.Fatalf("readAuthResponse(%q) accepts neither code nor error", query)
		}
		again, err := readAuthResponse(url.Values{
			"code": {string(got.code)}, "state": {got.state}, "iss": {got.iss}, "error": {got.err}, "error_description": {got.description},
		}.Encode())
		if err != nil || again != got {
			t.Fatalf("readAuthResponse(%q) = %+v, and written again %+v, %v", query, got, again, err)
		}
	})
}
