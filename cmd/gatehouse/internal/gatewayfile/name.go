package gatewayfile

import (
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/gatehouse-mcp/gatehouse"
)

// unusual are the fields whose words do not follow from their letters.
var unusual = map[string]string{
	"JWKSURL": "jwks_url", "AppIDURI": "app_id_uri", "FrontendAPIURL": "frontend_api_url", "BackendAPIURL": "backend_api_url",
	"MCPServerID": "mcp_server_id", "H2C": "h2c", "PProf": "pprof", "ClientIDs": "client_ids",
}

// memberName returns the name of a field in the file: max_body_bytes for MaxBodyBytes.
func memberName(field string) string {
	if name, ok := unusual[field]; ok {
		return name
	}
	letters := []rune(field)
	var b strings.Builder
	for i, c := range letters {
		if i > 0 && unicode.IsUpper(c) && (!unicode.IsUpper(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

// The types that are read in a special way.
var (
	typeAt       = reflect.TypeFor[At]()
	typeDuration = reflect.TypeFor[time.Duration]()
	typeNames    = reflect.TypeFor[Names]()
	typeProvider = reflect.TypeFor[Provider]()
	typeUpstream = reflect.TypeFor[Upstream]()
)

// isSecret reports whether a value of the type must not be shown, and may be in a file of its
// own.
func isSecret(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[gatehouse.Secret](), reflect.TypeFor[gatehouse.SessionKey](), reflect.TypeFor[gatehouse.AuditKey]():
		return true
	}
	return t.Kind() == reflect.String && t.Name() == "Secret"
}

// typeKeys is a list of secrets, which may be in one file, each on a line of its own.
var typeKeys = reflect.TypeFor[[]gatehouse.SessionKey]()

// member is one member of a mapping.
type member struct {
	name  string
	index []int
	typ   reflect.Type
	doc   string
	need  bool
	one   []string // the values that are accepted; nil for all
	file  bool     // whether the value is the path of a file with the secret
}

// membersOf returns the members that a mapping for the struct may have, in the order of its
// fields. Fields that a file cannot express, such as functions, are left out.
func membersOf(t reflect.Type) []member {
	var members []member
	for _, f := range reflect.VisibleFields(t) {
		if f.Type == typeAt || !f.IsExported() || f.Anonymous || len(f.Index) > 1 && f.Index[0] < 0 || !canRead(f.Type) {
			continue
		}
		m := member{name: memberName(f.Name), index: f.Index, typ: f.Type, doc: f.Tag.Get("doc"), need: f.Tag.Get("need") == "true"}
		if one := f.Tag.Get("one"); one != "" {
			m.one = strings.Fields(one)
		}
		members = append(members, m)
		if isSecret(f.Type) || f.Type == typeKeys {
			m.name, m.file, m.need = m.name+"_file", true, false
			m.doc = "Path of a file with " + memberName(f.Name) + ", in place of it."
			members = append(members, m)
		}
	}
	return members
}

// canRead reports whether a file can have a value of the type.
func canRead(t reflect.Type) bool {
	if isSecret(t) {
		return true
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64:
		return true
	case reflect.Slice, reflect.Pointer:
		return canRead(t.Elem()) && t.Elem().PkgPath() != "net/http"
	case reflect.Map:
		return t.Key().Kind() == reflect.String && canRead(t.Elem())
	case reflect.Struct:
		return true
	}
	return false
}
