package setting_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
)

func TestGet(t *testing.T) {
	t.Parallel()
	r := setting.From(map[string]string{"FIRST": "", "SECOND": " two ", "LIST": "a, b\nc", "ON": "true", "OFF": "0", "MAYBE": "maybe"})
	if got := r.Get("Field", "explicit", "SECOND"); got != (setting.Value{Text: "explicit", Name: "Field"}) {
		t.Errorf("explicit: got %+v", got)
	}
	if got := r.Get("Field", "", "FIRST", "SECOND"); got != (setting.Value{Text: "two", Name: "SECOND"}) {
		t.Errorf("variable: got %+v", got)
	}
	if got := r.Get("Field", "", "FIRST"); got != (setting.Value{Name: "FIRST"}) {
		t.Errorf("nothing: got %+v", got)
	}
	if got := r.Get("Field", ""); got != (setting.Value{Name: "Field"}) {
		t.Errorf("no variable: got %+v", got)
	}
	if list, name := r.List("Field", nil, "LIST"); strings.Join(list, "|") != "a|b|c" || name != "LIST" {
		t.Errorf("list: got %q of %s", list, name)
	}
	if list, name := r.List("Field", []string{"x y"}, "LIST"); strings.Join(list, "|") != "x y" || name != "Field" {
		t.Errorf("explicit list: got %q of %s", list, name)
	}
	if !r.Bool("Field", false, "ON") || r.Bool("Field", false, "OFF") || r.Bool("Field", false, "NONE") || !r.Bool("Field", true, "OFF") {
		t.Error("on and off are mixed up")
	}
	if r.Failed() {
		t.Errorf("faults: %v", r.Finish(gatehouse.Provider{}).Err)
	}
	if r.Bool("Field", false, "MAYBE") || !r.Failed() {
		t.Error(`"maybe" is accepted`)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	host := func(r *setting.Reader, v setting.Value) string { return r.Host(v, "tenant.example.com") }
	issuer := func(r *setting.Reader, v setting.Value) string { return r.Issuer(v, "https://issuer.example.com") }
	noSlash := func(r *setting.Reader, v setting.Value) string { return r.NoSlash(v, "https://issuer.example.com/x") }
	origin := func(r *setting.Reader, v setting.Value) string { return r.Origin(v, "https://issuer.example.com") }
	for _, test := range []struct {
		name  string
		check func(*setting.Reader, setting.Value) string
		text  string
		want  string // of the error after the name and the value; empty means that the text is valid
	}{
		{"host", host, "tenant.eu.auth0.com", ""},
		{"host with a port", host, "localhost:8080", ""},
		{"no host", host, "", ""},
		{"URL for a host", host, "https://tenant.eu.auth0.com/", `is a URL, want a host; write "tenant.eu.auth0.com"`},
		{"host with a path", host, "tenant.eu.auth0.com/oauth", `has a path; write "tenant.eu.auth0.com"`},
		{"host in capitals", host, "Tenant.example.com", `is not the name of a host; write it like "tenant.example.com"`},
		{"host with a query", host, "tenant.example.com?x", `is not the name of a host; write it like "tenant.example.com"`},
		{"host with spaces", host, "my tenant", `is not the name of a host; write it like "tenant.example.com"`},
		{"issuer", issuer, "https://issuer.example.com/", ""},
		{"discovery URL", issuer, "https://issuer.example.com/x/.well-known/openid-configuration", `is the URL of a metadata document; write "https://issuer.example.com/x"`},
		{"issuer without a scheme", issuer, "issuer.example.com", `has no scheme; write "https://issuer.example.com"`},
		{"issuer with http", issuer, "http://issuer.example.com", `is not https; use https, or http only on localhost, like "https://issuer.example.com"`},
		{"without a slash", noSlash, "https://issuer.example.com/x", ""},
		{"slash at the end", noSlash, "https://issuer.example.com/x/", `ends with a slash, which is not part of it; write "https://issuer.example.com/x"`},
		{"origin", origin, "https://issuer.example.com", ""},
		{"origin with a path", origin, "https://issuer.example.com/x", `has a path; write "https://issuer.example.com"`},
		{"origin with a slash", origin, "https://issuer.example.com/", `ends with a slash, which is not part of it; write "https://issuer.example.com"`},
	} {
		r := setting.From(nil)
		got := test.check(r, setting.Value{Text: test.text, Name: "Field"})
		err := r.Finish(gatehouse.Provider{}).Err
		if test.want == "" {
			if err != nil || got != test.text {
				t.Errorf("%s: got %q, %v", test.name, got, err)
			}
			continue
		}
		var fault *gatehouse.ConfigError
		if !errors.As(err, &fault) || fault.Field != "Field" || got != "" {
			t.Errorf("%s: got %q, %v, want a fault of the field", test.name, got, err)
			continue
		}
		if _, text, _ := strings.Cut(err.Error(), `" `); text != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, text, test.want)
		}
	}
}

// A secret is not in the text of its fault, and a password in a URL is not either.
func TestFaultsShowNoSecrets(t *testing.T) {
	t.Parallel()
	r := setting.From(map[string]string{"SECRET": "hunter2"})
	r.SecretFault(r.Get("Field", "", "SECRET"), "is short", "use a longer one")
	r.Issuer(setting.Value{Text: "https://user:hunter2@issuer.example.com", Name: "URL"}, "https://issuer.example.com")
	err := r.Finish(gatehouse.Provider{}).Err
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "SECRET is short; use a longer one") {
		t.Errorf("got %v", err)
	}
}
