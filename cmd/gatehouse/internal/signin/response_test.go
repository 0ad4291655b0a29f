package signin

import (
	"errors"
	"net/url"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
)

func TestParseAuthResponse(t *testing.T) {
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
			_, err := parseAuthResponse(test.query)
			wantErr(t, err, test.wantErr)
		})
	}
}

func TestCheckAuthResponse(t *testing.T) {
	t.Parallel()
	const issuer = "https://issuer.example.com"
	valid := authResponse{code: "c", state: "the state", iss: issuer}
	for _, test := range []struct {
		name        string
		change      func(r *authResponse)
		unannounced bool // the metadata does not announce iss
		wantErr     string
	}{
		{
			name:   "control",
			change: func(*authResponse) {},
		},
		{
			name:        "iss unannounced",
			change:      func(*authResponse) {},
			unannounced: true,
		},
		{
			name:        "no iss, none announced",
			change:      func(r *authResponse) { r.iss = "" },
			unannounced: true,
		},
		{
			name:    "no iss",
			change:  func(r *authResponse) { r.iss = "" },
			wantErr: "authorization response has no issuer",
		},
		{
			name:    "other iss",
			change:  func(r *authResponse) { r.iss += "/" },
			wantErr: "authorization response has issuer",
		},
		{
			name:        "other iss, none announced",
			change:      func(r *authResponse) { r.iss += "/" },
			unannounced: true,
			wantErr:     "authorization response has issuer",
		},
		{
			name:    "other state",
			change:  func(r *authResponse) { r.state = "The state" },
			wantErr: "authorization response has another state",
		},
		{
			name:    "no state",
			change:  func(r *authResponse) { r.state = "" },
			wantErr: "authorization response has another state",
		},
		{
			name:    "error",
			change:  func(r *authResponse) { r.err = "server_error" },
			wantErr: "could not answer: server_error",
		},
		{
			name:    "error without state",
			change:  func(r *authResponse) { r.err, r.state = "access_denied", "" },
			wantErr: "authorization response has another state",
		},
		{
			name:    "error with other state",
			change:  func(r *authResponse) { r.err, r.state = "access_denied", "x" },
			wantErr: "authorization response has another state",
		},
		{
			name:    "error of another issuer",
			change:  func(r *authResponse) { r.err, r.iss = "access_denied", "https://evil.example.com" },
			wantErr: "authorization response has issuer",
		},
		{
			name:    "error without iss",
			change:  func(r *authResponse) { r.err, r.iss = "access_denied", "" },
			wantErr: "access was denied",
		},
		{
			name:    "unknown resource",
			change:  func(r *authResponse) { r.err, r.description = "invalid_target", "no such" },
			wantErr: "rejects the resource: invalid_target: no such",
		},
		{
			name:    "other error",
			change:  func(r *authResponse) { r.err = "unauthorized_client" },
			wantErr: "rejects the sign-in: unauthorized_client",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			response := valid
			test.change(&response)
			metadata := &oauthex.AuthServerMeta{Issuer: issuer, AuthorizationResponseIssParameterSupported: !test.unannounced}
			err := response.check("the state", nil, metadata)
			wantErr(t, err, test.wantErr)
			if f := (*failure.Error)(nil); err != nil && (!errors.As(err, &f) || f.Hint == "") {
				t.Errorf("error %v has no hint", err)
			}
		})
	}
}

// FuzzParseAuthResponse checks that an accepted response has a code or an error, and
// that it is the same after it was written and parsed again.
func FuzzParseAuthResponse(f *testing.F) {
	for _, seed := range []string{
		"code=c&state=s&iss=https%3A%2F%2Fissuer",
		"error=access_denied&error_description=no+way&state=s",
		"code=a&code=b",
		"code=%zz",
		"",
		"code;error=x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		got, err := parseAuthResponse(query)
		if err != nil {
			return
		}
		if got.code == "" && got.err == "" {
			t.Fatalf("parseAuthResponse(%q) has neither a code nor an error", query)
		}
		again, err := parseAuthResponse(url.Values{
			"code":              {string(got.code)},
			"state":             {got.state},
			"iss":               {got.iss},
			"error":             {got.err},
			"error_description": {got.description},
		}.Encode())
		if err != nil || again != got {
			t.Fatalf("parseAuthResponse(%q) = %+v, and parsed again %+v, %v", query, got, again, err)
		}
	})
}
