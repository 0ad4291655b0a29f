package diagnose

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/keys"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

const (
	maxKeyAge = 24 * time.Hour // for which a key set may be cached
	maxKeys   = 100
)

// webKey is the members of a JSON Web Key that say what it is for.
type webKey struct {
	Type      string          `json:"kty"`
	ID        string          `json:"kid"`
	Algorithm string          `json:"alg"`
	Use       string          `json:"use"`
	Curve     string          `json:"crv"`
	Modulus   string          `json:"n"`
	Private   json.RawMessage `json:"d"`
	Symmetric json.RawMessage `json:"k"`
}

// bits returns the size of an RSA key, or 0.
func (k webKey) bits() int {
	n, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(k.Modulus, "="))
	if err != nil {
		return 0
	}
	return new(big.Int).SetBytes(n).BitLen()
}

// algorithm returns an algorithm for which the key can be used.
func (k webKey) algorithm() string {
	switch {
	case k.Algorithm != "":
		return k.Algorithm
	case k.Type == "EC":
		return map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[k.Curve]
	case k.Type == "OKP":
		return jose.EdDSA
	}
	return "RS256"
}

func (k webKey) String() string {
	parts := []string{k.Type}
	if k.Type == "RSA" {
		parts = append(parts, strconv.Itoa(k.bits())+" bits")
	}
	for _, s := range []string{k.Curve, k.Algorithm, k.Use} {
		if s != "" {
			parts = append(parts, quote.Clip(s, 20))
		}
	}
	return quote.String(k.ID) + " (" + strings.Join(parts, ", ") + ")"
}

// checkKeys judges the key set of the issuer.
func (d *doctor) checkKeys(ctx context.Context) {
	m := d.observed.Issuer.Metadata
	if m.JWKSURI == "" {
		d.found("keys.missing", "GET "+m.URL+": no jwks_uri")
		return
	}
	if problem := d.checkNamed(m.JWKSURI); problem != "" {
		d.found("keys.url", fmt.Sprintf("jwks_uri %s %s", quote.String(m.JWKSURI), problem))
		return
	}
	d.progress("reading the keys of the issuer")
	answers := make([]*answer, replicaRequests)
	d.repeat(func(i int) { answers[i] = d.prober.get(ctx, m.JWKSURI, !d.isLoopbackTarget()) })
	a := answers[0]
	set, ok := d.readKeys(a)
	if !ok {
		return
	}
	d.judgeKeys(a, set)
	d.checkKeyAge(a)
	for _, other := range answers[1:] {
		if otherSet, ok := parseKeys(other); ok && eachLacks(kids(set), kids(otherSet)) {
			d.found("keys.differ", fmt.Sprintf("GET %s answered with %s, and then with %s", m.JWKSURI, describeKeys(set),
				describeKeys(otherSet)))
			break
		}
	}
	d.ok("keys", "GET %s: %s%s", m.JWKSURI, describeKeys(set), caching(a))
}

// eachLacks reports whether each list lacks something that the other has. If only one does, the
// issuer has added a key in the meantime.
func eachLacks(a, b []string) bool {
	lacks := func(a, b []string) bool {
		return slices.ContainsFunc(b, func(kid string) bool { return !slices.Contains(a, kid) })
	}
	return lacks(a, b) && lacks(b, a)
}

// readKeys reads a key set, and reports one that cannot be read.
func (d *doctor) readKeys(a *answer) ([]webKey, bool) {
	_, problem := objectOf(a)
	switch {
	case a.err == nil && a.status == http.StatusOK && a.isHTML():
		d.found("keys.html", a.String())
		return nil, false
	case a.err != nil || a.status != http.StatusOK:
		d.found("keys.unreachable", a.String())
		return nil, false
	case problem != "":
		d.found("keys.not_json", a.String()+": "+problem)
		return nil, false
	}
	set, ok := parseKeys(a)
	switch {
	case !ok:
		d.found("keys.not_json", a.String()+": no list \"keys\"")
		return nil, false
	case len(set) == 0:
		d.found("keys.empty", a.String())
		return nil, false
	}
	for _, k := range set {
		if k.Private != nil {
			// The body must not be in the evidence.
			d.found("keys.private", fmt.Sprintf("GET %s: key %s has the member \"d\"", a.request.url, k))
			return nil, false
		}
	}
	if problem := unusable(a.body); problem != "" {
		d.found("keys.unusable", fmt.Sprintf("GET %s: %s; %s", a.request.url, describeKeys(set), problem))
		return nil, false
	}
	return set, true
}

// unusable returns the problem of the first key if the guard can use no key of a set, and
// otherwise "".
func unusable(body []byte) string {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return err.Error()
	}
	first := ""
	for _, k := range document.Keys[:min(len(document.Keys), maxKeys)] {
		one, err := json.Marshal(map[string][]json.RawMessage{"keys": {k}})
		if err == nil {
			if _, err = keys.NewStatic(one, nil); err == nil {
				return ""
			}
		}
		first = cmp.Or(first, err.Error())
	}
	return first
}

func parseKeys(a *answer) ([]webKey, bool) {
	var document struct {
		Keys []webKey `json:"keys"`
	}
	if a.err != nil || json.Unmarshal(a.body, &document) != nil || document.Keys == nil {
		return nil, false
	}
	return document.Keys[:min(len(document.Keys), maxKeys)], true
}

// judgeKeys judges each key of a set that has a usable one.
func (d *doctor) judgeKeys(a *answer, set []webKey) {
	seen := map[string]bool{}
	unnamed := 0
	for _, k := range set {
		evidence := fmt.Sprintf("GET %s: key %s", a.request.url, k)
		switch {
		case k.Symmetric != nil || k.Type == "oct":
			d.found("keys.symmetric", fmt.Sprintf("GET %s: key %s is symmetric", a.request.url, quote.String(k.ID)))
			continue
		case k.Use == "enc":
			continue
		case k.Type == "RSA" && k.bits() < jose.MinRSABits:
			d.found("keys.small", evidence)
		case d.signer.Type == "":
			d.signer = k
		}
		if k.ID == "" {
			unnamed++
			continue
		}
		if seen[k.ID+" "+k.Type+" "+k.Algorithm] {
			d.found("keys.duplicate", evidence+"; another key has the same kid")
		}
		seen[k.ID+" "+k.Type+" "+k.Algorithm] = true
		d.keyIDs = append(d.keyIDs, k.ID)
	}
	if unnamed > 1 {
		d.found("keys.no_kid", fmt.Sprintf("GET %s: %d of %d keys have no kid", a.request.url, unnamed, len(set)))
	}
}

// checkKeyAge reports a key set that may be cached for long.
func (d *doctor) checkKeyAge(a *answer) {
	if age := maxAge(a); age > maxKeyAge {
		d.found("keys.cached", fmt.Sprintf("GET %s: Cache-Control: %s", a.request.url,
			quote.String(a.header.Get("Cache-Control"))), "age", age.String())
	}
}

// maxAge returns the max-age of an answer, or 0.
func maxAge(a *answer) time.Duration {
	for directive := range strings.SplitSeq(a.header.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil && strings.EqualFold(name, "max-age") {
			return time.Duration(n) * time.Second
		}
	}
	return 0
}

func caching(a *answer) string {
	if c := a.header.Get("Cache-Control"); c != "" {
		return "; Cache-Control: " + quote.Clip(c, 60)
	}
	return ""
}

func kids(set []webKey) []string {
	var ids []string
	for _, k := range set {
		ids = append(ids, k.ID)
	}
	slices.Sort(ids)
	return ids
}

func describeKeys(set []webKey) string {
	var parts []string
	for i, k := range set {
		if i == quote.MaxItems {
			parts = append(parts, fmt.Sprintf("and %d more", len(set)-i))
			break
		}
		parts = append(parts, k.String())
	}
	return strings.Join(parts, ", ")
}
