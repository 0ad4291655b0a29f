// Package setting reads the settings of the packages below provider: an explicit value, or
// else a variable of the environment, or else of a .env file. It collects faults, so that all
// of them are reported at once, each under the name that the user wrote.
package setting

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// Reader reads the settings of one provider. The zero value has no environment.
type Reader struct {
	env    env.Env
	faults []error
}

// Load returns a reader of the environment of the process and of the .env file in the working
// directory.
func Load() *Reader {
	e, err := env.Load(".")
	if err != nil {
		return &Reader{faults: []error{err}}
	}
	return &Reader{env: *e}
}

// From returns a reader of the variables alone, for tests.
func From(variables map[string]string) *Reader { return &Reader{env: env.Env{File: variables}} }

// Value is one setting.
type Value struct {
	Text string
	Name string // of the field or the variable that it is from
}

// Get returns the setting with the name of its field and its value there, or else the first of
// the variables that is set. Without any, Text is empty and Name is that of the first
// variable, or of the field if there is none.
func (r *Reader) Get(field, explicit string, variables ...string) Value {
	if explicit != "" {
		return Value{explicit, field}
	}
	for _, name := range variables {
		if text := r.env.Get(name); text != "" {
			return Value{text, name}
		}
	}
	if len(variables) > 0 {
		return Value{"", variables[0]}
	}
	return Value{"", field}
}

// Require is Get for a setting that must not be empty: otherwise it reports that it is
// missing, with the fix.
func (r *Reader) Require(fix, field, explicit string, variables ...string) Value {
	v := r.Get(field, explicit, variables...)
	if v.Text == "" {
		r.Fault(v, "is missing", fix)
	}
	return v
}

// List returns a list of settings: the explicit one, or else the variable, whose items are
// separated by commas or white space.
func (r *Reader) List(field string, explicit []string, variable string) (list []string, name string) {
	if len(explicit) > 0 {
		return explicit, field
	}
	separator := func(c rune) bool { return strings.ContainsRune(", \t\r\n", c) }
	return strings.FieldsFunc(r.env.Get(variable), separator), variable
}

// Bool returns a setting that is on or off: the explicit one if it is on, or else the variable,
// which must be true or false.
func (r *Reader) Bool(field string, explicit bool, variable string) bool {
	v := r.Get(field, "", variable)
	switch {
	case explicit || v.Text == "true" || v.Text == "1":
		return true
	case v.Text != "" && v.Text != "false" && v.Text != "0":
		r.Fault(v, "is neither true nor false", "write true or false")
	}
	return false
}

// Fault reports that v has a problem, in the form of [gatehouse.ConfigError].
func (r *Reader) Fault(v Value, problem, fix string) {
	r.faults = append(r.faults, &gatehouse.ConfigError{
		Field: v.Name, Value: wellknown.Redacted(v.Text), Problem: problem, Fix: fix,
	})
}

// SecretFault is Fault for a setting whose value must not be printed.
func (r *Reader) SecretFault(v Value, problem, fix string) {
	r.Fault(Value{Name: v.Name}, problem, fix)
}

// Failed reports whether there is a fault.
func (r *Reader) Failed() bool { return len(r.faults) > 0 }

// Host returns v if it is the name of a host, perhaps with a port, and reports a fault
// otherwise. For a URL, the fix is its host. example is a valid value.
func (r *Reader) Host(v Value, example string) string {
	text := v.Text
	if text == "" {
		return ""
	}
	if _, rest, isURL := strings.Cut(text, "://"); isURL {
		host, _, _ := strings.Cut(rest, "/")
		r.Fault(v, "is a URL, want a host", fmt.Sprintf("write %q", host))
		return ""
	}
	if host, _, hasPath := strings.Cut(text, "/"); hasPath {
		r.Fault(v, "has a path", fmt.Sprintf("write %q", host))
		return ""
	}
	u, err := url.Parse("https://" + text)
	if err != nil || u.Host != text || u.Hostname() == "" || strings.ToLower(text) != text || badHost(u.Hostname()) {
		r.Fault(v, "is not the name of a host", fmt.Sprintf("write it like %q", example))
		return ""
	}
	return text
}

func badHost(host string) bool {
	return net.ParseIP(host) == nil && strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || strings.HasPrefix(host, ".")
}

// Issuer returns v if it is the identifier of an issuer, and reports a fault otherwise, such
// as for the URL of a metadata document. example is a valid value. Whether a slash at the end
// belongs to it is for the caller to check; see [Reader.NoSlash].
func (r *Reader) Issuer(v Value, example string) string {
	if v.Text == "" {
		return ""
	}
	if issuer, ok := wellknown.IssuerOf(v.Text); ok {
		r.Fault(v, "is the URL of a metadata document", fmt.Sprintf("write %q", issuer))
		return ""
	}
	if !strings.Contains(v.Text, "://") {
		r.Fault(v, "has no scheme", fmt.Sprintf("write %q", "https://"+v.Text))
		return ""
	}
	var fault *wellknown.Fault
	if err := wellknown.Issuer(v.Text); errors.As(err, &fault) {
		r.Fault(v, fault.Problem, fault.Fix+fmt.Sprintf(", like %q", example))
		return ""
	} else if err != nil {
		r.Fault(v, "is not an issuer", fmt.Sprintf("write it like %q", example))
		return ""
	}
	return v.Text
}

// NoSlash is Issuer for a URL that must not end with a slash.
func (r *Reader) NoSlash(v Value, example string) string {
	text := r.Issuer(v, example)
	if trimmed := strings.TrimRight(text, "/"); trimmed != text {
		r.Fault(v, "ends with a slash, which is not part of it", fmt.Sprintf("write %q", trimmed))
		return ""
	}
	return text
}

// Origin is Issuer for a URL that has no path.
func (r *Reader) Origin(v Value, example string) string {
	text := r.Issuer(v, example)
	if text == "" {
		return ""
	}
	if u, err := url.Parse(text); err == nil && u.Path != "" {
		problem := "has a path"
		if u.Path == "/" {
			problem = "ends with a slash, which is not part of it"
		}
		r.Fault(v, problem, fmt.Sprintf("write %q", u.Scheme+"://"+u.Host))
		return ""
	}
	return text
}

// Finish returns p with the faults as its Err.
func (r *Reader) Finish(p gatehouse.Provider) gatehouse.Provider {
	p.Err = errors.Join(append(r.faults, p.Err)...)
	return p
}
