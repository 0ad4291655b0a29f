package token

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

const (
	DefaultLeeway = 30 * time.Second // for clocks that differ
	MaxLeeway     = 2 * time.Minute  // RFC 7519 §4.1.4: "no more than a few minutes"

	MinSecret = 32 // bytes of Verifier.Secret: those of the hash (RFC 7518 §3.2)

	DefaultMaxSize = 16 << 10 // bytes of a token
	LargestMaxSize = 64 << 10 // bytes; the most that Rules.MaxBytes may be
)

// AudiencePolicy says whether a token without "aud" is accepted. A token whose "aud"
// names other servers only is rejected under every policy.
type AudiencePolicy int

const (
	// AudienceRequired rejects a token without "aud" (RFC 9068 §4). It is the zero value.
	AudienceRequired AudiencePolicy = iota
	// AudienceIfPresent accepts a token without "aud", with Token.Bound false: any
	// server that receives such a token can use it here.
	AudienceIfPresent
)

// String returns "required" or "if present".
func (p AudiencePolicy) String() string {
	if p == AudienceIfPresent {
		return "if present"
	}
	return "required"
}

// Rules are the rules of one kind of provider for its access tokens. The zero value
// rejects every token. Package gatehouse documents the fields for users, in its type
// TokenRules, which converts to this one.
type Rules struct {
	// Algorithms are the accepted "alg" values, out of [jose.Names].
	Algorithms []string

	// Types are the accepted "typ" values, compared without case and without the
	// prefix "application/" (RFC 9068 §4, RFC 7515 §4.1.9): "at+jwt" accepts
	// "application/AT+JWT" too. An empty string accepts a token without "typ".
	Types []string

	// RejectedHeader marks other kinds of tokens of the same issuer: header
	// parameter → value → the kind, in words for the error. A parameter that is
	// named here must be a string; its other values are accepted. It cannot be one
	// that is checked for every token ("alg", "typ", "kid", "crit", "b64").
	RejectedHeader map[string]map[string]string

	// RequiredClaims must be present and not empty, in addition to "iss", "sub" and
	// "exp": strings, or arrays of strings, unless they are in claimNames.
	RequiredClaims []string

	// RequiredValues are claims of which one of the values must be present: claim →
	// values. See matches for the form of a value.
	RequiredValues map[string][]string

	// RejectedClaims marks other kinds of tokens of the same issuer, as RejectedHeader
	// does: claim → value → the kind. The value "" stands for every value but null.
	RejectedClaims map[string]map[string]string

	// MachineClaims are claims that mark the token of a machine: claim → values, of which
	// "" stands for every value but null. A token whose "sub" is its client is always one.
	MachineClaims map[string][]string

	// SubjectPrefix is how "sub" must begin; more must follow. Empty allows every subject.
	SubjectPrefix string

	// Audience says whether a token without "aud" is accepted.
	Audience AudiencePolicy

	// Audiences are values of "aud" that are accepted in addition to Verifier.Resources,
	// compared byte by byte.
	Audiences []string

	// BoundClients and BoundScopePrefix bind a token without "aud" to this server: its
	// client must be one of them, and one of its scopes must begin with the prefix and go
	// on; see isBoundScope. If both are set, both must hold. An empty "aud" then counts as none.
	BoundClients     []string
	BoundScopePrefix string

	// MaxBytes bounds the token, in bytes; 0 means DefaultMaxSize.
	MaxBytes int
}

// Verifier checks the access tokens of one provider for one server. The zero value
// rejects every token. A Verifier must not change once it is in use, and is then safe
// for concurrent use.
type Verifier struct {
	Rules

	// Issuers are the accepted values of "iss", compared byte by byte (RFC 9068 §4, RFC
	// 8725 §3.8). All of them have the same keys.
	Issuers []string

	// Resources are the names of this server, compared byte by byte. "aud" must have
	// at least one of them, or of Rules.Audiences (RFC 9068 §4).
	Resources []string

	// ClientClaims and ScopeClaims are the claims that name the client and the scopes, in
	// the order in which they are looked for. Empty means "client_id" and "azp", and
	// "scope" and "scp". A claim of scopes is a string of words or an array of strings.
	ClientClaims, ScopeClaims []string

	// Secret, if set, is the key of HS256 (RFC 7518 §3.2), which is then the only accepted
	// algorithm, and Keys are not used. It has at least MinSecret bytes. Everyone who has it
	// can make tokens.
	Secret []byte

	// Leeway is added to "exp" and subtracted from "nbf" and "iat"; 0 means DefaultLeeway.
	Leeway time.Duration
}

// Validate returns every fault of v as one joined error, or nil. A Verifier with faults
// rejects more tokens than one without, never fewer.
func (v *Verifier) Validate() error {
	var f faults
	if len(v.Issuers) == 0 || slices.Contains(v.Issuers, "") {
		f.add("Issuers is %q, want the names of the issuer", v.Issuers)
	}
	v.Rules.validate(&f)
	if len(v.Resources) == 0 || slices.Contains(v.Resources, "") {
		f.add("Resources is %q, want the names of this server", v.Resources)
	}
	if v.Leeway < 0 || v.Leeway > MaxLeeway {
		f.add("Leeway is %v, want 0 to %v", v.Leeway, MaxLeeway)
	}
	if n := len(v.Secret); v.Secret != nil && n < MinSecret {
		f.add("Secret is %d bytes, want at least %d", n, MinSecret)
	}
	for _, name := range slices.Concat(v.ClientClaims, v.ScopeClaims) {
		if name == "" || slices.Contains(claimNames, name) {
			f.add("claim %q cannot name the client or the scopes", name)
		}
	}
	return errors.Join(f...)
}

func (v *Verifier) clientClaims() []string {
	if len(v.ClientClaims) == 0 {
		return defaultClientClaims
	}
	return v.ClientClaims
}

func (v *Verifier) scopeClaims() []string {
	if len(v.ScopeClaims) == 0 {
		return defaultScopeClaims
	}
	return v.ScopeClaims
}

// names are the header parameters and the claims that rules give a meaning to, in addition
// to headerNames and claimNames.
type names struct{ header, claims []string }

// add adds the names of v.
func (n *names) add(v *Verifier) {
	for name := range v.RejectedHeader {
		n.header = addName(n.header, name, headerNames)
	}
	for _, list := range [][]string{v.clientClaims(), v.scopeClaims(), v.RequiredClaims} {
		for _, name := range list {
			n.claims = addName(n.claims, name, claimNames)
		}
	}
	for name := range v.RequiredValues {
		n.claims = addName(n.claims, name, claimNames)
	}
	for name := range v.RejectedClaims {
		n.claims = addName(n.claims, name, claimNames)
	}
	for name := range v.MachineClaims {
		n.claims = addName(n.claims, name, claimNames)
	}
}

// addName adds name to list unless it is there or known.
func addName(list []string, name string, known []string) []string {
	if slices.Contains(list, name) || slices.Contains(known, name) {
		return list
	}
	return append(list, name)
}

// faults collects the faults of a Verifier. Each names a field first.
type faults []error

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Errorf(format, args...)) }

func (r *Rules) validate(f *faults) {
	if len(r.Algorithms) == 0 {
		f.add("Algorithms is empty, want some of %q", jose.Names())
	}
	for _, name := range r.Algorithms {
		if _, ok := jose.Lookup(name); !ok {
			f.add("Algorithms has %q, want some of %q", name, jose.Names())
		}
	}
	if len(r.Types) == 0 {
		f.add(`Types is empty, want "at+jwt" or the issuer's own type`)
	}
	for name := range r.RejectedHeader {
		if slices.Contains(headerNames, name) {
			f.add("RejectedHeader has %q, want other parameters", name)
		}
	}
	r.validateClaims(f)
	if r.Audience != AudienceRequired && r.Audience != AudienceIfPresent {
		f.add("Audience is %d, want AudienceRequired or AudienceIfPresent", int(r.Audience))
	}
	if r.MaxBytes < 0 || r.MaxBytes > LargestMaxSize {
		f.add("MaxBytes is %d, want 0 to %d", r.MaxBytes, LargestMaxSize)
	}
}

func (r *Rules) validateClaims(f *faults) {
	for _, rule := range []struct {
		field string
		names []string
	}{
		{"RequiredValues", slices.Sorted(maps.Keys(r.RequiredValues))},
		{"RejectedClaims", slices.Sorted(maps.Keys(r.RejectedClaims))},
		{"MachineClaims", slices.Sorted(maps.Keys(r.MachineClaims))},
	} {
		for _, name := range rule.names {
			if name == "" || slices.Contains(claimNames, name) {
				f.add("%s has %q, want other claims", rule.field, name)
			}
		}
	}
	for name, values := range r.RequiredValues {
		if len(values) == 0 || slices.Contains(values, "") {
			f.add("RequiredValues has %q for %q, want the accepted values", values, name)
		}
	}
	if slices.Contains(r.Audiences, "") {
		f.add("Audiences has an empty name")
	}
	if slices.Contains(r.BoundClients, "") {
		f.add("BoundClients has an empty name")
	}
	if last, _ := utf8.DecodeLastRuneInString(r.BoundScopePrefix); unicode.IsLetter(last) || unicode.IsDigit(last) {
		f.add(`BoundScopePrefix is %q, which also begins the scopes of a server whose name only begins in this way; `+
			`end it with the separator, like %q`, r.BoundScopePrefix, r.BoundScopePrefix+"/")
	}
	if r.bindsWithoutAudience() && r.Audience == AudienceIfPresent {
		f.add("BoundClients and BoundScopePrefix have no effect if Audience is AudienceIfPresent; use AudienceRequired")
	}
}

// bindsWithoutAudience reports whether a token without "aud" can be bound to this server.
func (r *Rules) bindsWithoutAudience() bool {
	return len(r.BoundClients) > 0 || r.BoundScopePrefix != ""
}

func (v *Verifier) leeway() time.Duration {
	if v.Leeway == 0 {
		return DefaultLeeway
	}
	return min(max(v.Leeway, 0), MaxLeeway)
}

func (r *Rules) maxBytes() int {
	if r.MaxBytes == 0 {
		return DefaultMaxSize
	}
	return min(r.MaxBytes, LargestMaxSize)
}

// CheckSize rejects raw if it is longer than MaxBytes.
func (r *Rules) CheckSize(raw string) error { return CheckSize(raw, r.maxBytes()) }

// CheckSize rejects raw if it is longer than most bytes.
func CheckSize(raw string, most int) error {
	if len(raw) <= most {
		return nil
	}
	return &Error{Reason: reason.TooLarge, Got: fmt.Sprintf("%d bytes", len(raw)), Want: fmt.Sprintf("at most %d", most)}
}

// checkIssuer checks the one claim that is checked before the signature, so that a
// token of another issuer never causes a key to be looked up.
func (v *Verifier) checkIssuer(c *claims) error {
	if c.issuer == "" {
		return &Error{Reason: reason.MissingClaim, Claim: "iss"}
	}
	if !slices.Contains(v.Issuers, c.issuer) {
		return wrongIssuer(c.issuer, v.Issuers)
	}
	return nil
}

func wrongIssuer(got string, want []string) error {
	return &Error{Reason: reason.WrongIssuer, Claim: "iss", Got: quote.String(got), Want: quote.OneOf(want)}
}

// checkClaims checks all other claims, once the signature is verified. [Set.Inspect] checks the
// same rules in the same order.
func (v *Verifier) checkClaims(c *claims, now time.Time) error {
	if err := v.checkRejected(c); err != nil { // first: the kind says more than what it lacks
		return err
	}
	if err := v.checkRequired(c); err != nil {
		return err
	}
	if err := v.checkExpiry(c, now); err != nil {
		return err
	}
	if err := v.checkBeginning(c, now); err != nil {
		return err
	}
	if err := checkConfirmation(c); err != nil {
		return err
	}
	if err := v.checkSubject(c); err != nil {
		return err
	}
	return v.checkAudience(c)
}

// checkConfirmation rejects a token that is bound to a key.
func checkConfirmation(c *claims) error {
	if c.confirmation {
		return &Error{Reason: reason.SenderConstrained, Claim: "cnf"}
	}
	return nil
}

func (r *Rules) checkSubject(c *claims) error {
	if rest, ok := strings.CutPrefix(c.subject, r.SubjectPrefix); !ok || rest == "" {
		return &Error{Reason: reason.WrongSubject, Claim: "sub", Got: quote.String(c.subject), Want: quote.String(r.SubjectPrefix + "…")}
	}
	return nil
}

func (v *Verifier) checkRequired(c *claims) error {
	for _, names := range [...][]string{{"sub", "exp"}, v.RequiredClaims} {
		for _, name := range names {
			if !c.has(name) {
				return &Error{Reason: reason.MissingClaim, Claim: name}
			}
		}
	}
	for name, values := range v.RequiredValues {
		value := c.others.get(name)
		if value == "" {
			return &Error{Reason: reason.MissingClaim, Claim: name}
		}
		if !slices.ContainsFunc(values, func(want string) bool { return matches(value, want) }) {
			return &Error{Reason: reason.WrongClaim, Claim: name, Got: quote.String(value), Want: quote.OneOf(values)}
		}
	}
	return nil
}

// checkRejected rejects a token that a claim marks as one of another kind.
func (r *Rules) checkRejected(c *claims) error {
	for _, m := range c.others {
		for value, kind := range r.RejectedClaims[m.name] {
			if marks(m.value, value) {
				return &Error{
					Reason: reason.WrongType,
					Claim:  strings.Clone(m.name),
					Got:    quote.String(kind),
					Want:   quote.String("access token"),
					Kind:   kind,
				}
			}
		}
	}
	return nil
}

// isMachine reports whether the token was issued to a machine: to a client that signed in
// as itself, without a user.
func (r *Rules) isMachine(c *claims) bool {
	if c.client != "" && c.client == c.subject {
		return true
	}
	for _, m := range c.others {
		if slices.ContainsFunc(r.MachineClaims[m.name], func(value string) bool { return marks(m.value, value) }) {
			return true
		}
	}
	return false
}

func (v *Verifier) checkExpiry(c *claims, now time.Time) error {
	if !now.Before(c.expiry.Add(v.leeway())) {
		return &Error{Reason: reason.Expired, Claim: "exp", Got: now.Sub(c.expiry).Truncate(time.Second).String() + " ago"}
	}
	return nil
}

// checkBeginning checks the times before which the token is not valid.
func (v *Verifier) checkBeginning(c *claims, now time.Time) error {
	latest := now.Add(v.leeway())
	if c.notBefore.After(latest) {
		return notYetValid("nbf", c.notBefore.Sub(now))
	}
	if c.issued.After(latest) {
		return notYetValid("iat", c.issued.Sub(now))
	}
	return nil
}

func notYetValid(claim string, d time.Duration) error {
	return &Error{Reason: reason.NotYetValid, Claim: claim, Got: d.Truncate(time.Second).String() + " in the future"}
}

func (v *Verifier) checkAudience(c *claims) error {
	accepted := func(name string) bool {
		return name != "" && (slices.Contains(v.Resources, name) || slices.Contains(v.Rules.Audiences, name))
	}
	switch {
	case v.isUnbound(c):
		if v.bindsWithoutAudience() {
			return v.checkBinding(c)
		}
		if v.Audience == AudienceIfPresent {
			return nil
		}
		return &Error{Reason: reason.Unbound, Claim: "aud", Want: v.wantedAudience()}
	case slices.ContainsFunc(c.audience, accepted):
		return nil
	}
	return &Error{Reason: reason.WrongAudience, Claim: "aud", Got: quote.List(c.audience), Want: v.wantedAudience()}
}

// isUnbound reports whether the token has no "aud".
func (v *Verifier) isUnbound(c *claims) bool {
	return !c.hasAudience || v.bindsWithoutAudience() && len(c.audience) == 0
}

// checkBinding checks the client and the scopes of a token without "aud".
func (r *Rules) checkBinding(c *claims) error {
	if len(r.BoundClients) > 0 && !slices.Contains(r.BoundClients, c.client) {
		return &Error{Reason: reason.WrongAudience, Claim: claimClient, Got: quote.String(c.client), Want: quote.OneOf(r.BoundClients)}
	}
	if r.BoundScopePrefix != "" && !slices.ContainsFunc(c.scopes, r.isBoundScope) {
		return &Error{
			Reason: reason.WrongAudience,
			Claim:  claimScopes,
			Got:    quote.List(c.scopes),
			Want:   quote.String(r.BoundScopePrefix + "…"),
		}
	}
	return nil
}

// isBoundScope reports whether scope is BoundScopePrefix and a name. After a prefix that ends
// with a slash, the name has no slash: "https://mcp.example.com/mcp/admin/read" would
// otherwise be a scope of "https://mcp.example.com/mcp", too, and not only of the server
// "https://mcp.example.com/mcp/admin".
func (r *Rules) isBoundScope(scope string) bool {
	name, ok := strings.CutPrefix(scope, r.BoundScopePrefix)
	return ok && name != "" && !(strings.HasSuffix(r.BoundScopePrefix, "/") && strings.Contains(name, "/"))
}

func (v *Verifier) wantedAudience() string {
	return quote.OneOf(slices.Concat(v.Resources, v.Rules.Audiences))
}
