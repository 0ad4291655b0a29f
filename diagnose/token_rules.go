package diagnose

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
)

// The rules of the guard that package token does not have.
const (
	ruleCredentials token.Rule = "credentials"   // one word of the characters of a bearer token
	ruleIntrospect  token.Rule = "introspection" // the provider says that an opaque token is active
	ruleOwnClaims   token.Rule = "own-claims"    // Provider.Claims and Provider.Complete
	ruleMachine     token.Rule = "machine"       // Provider.AllowMachines
	ruleRevoked     token.Rule = "revoked"       // Config.Revoked
	ruleScopes      token.Rule = "scopes"        // Config.RequiredScopes
)

// ruleTexts say what each rule is about, and are the titles of its findings if it holds and if it
// does not.
var ruleTexts = map[token.Rule]struct{ subject, holds, fails string }{
	token.RuleSize:      {"the size", "The size is accepted", "The token is too large"},
	ruleCredentials:     {"the characters", "The text has the characters of a bearer token", "The text is not a bearer token"},
	token.RuleForm:      {"the form", "The form is that of a signed JWT", "The token is not a well-formed signed JWT"},
	token.RuleHeader:    {"the header", "The header can be read", "The header cannot be read"},
	token.RuleCritical:  {"extensions", "The header requires no extension", "The header requires an extension"},
	token.RuleAlgorithm: {"the algorithm", "The algorithm is accepted", "The algorithm is not accepted"},
	token.RuleType:      {"the type", "The type is that of an access token", "The type is not that of an access token"},
	token.RuleClaims:    {"the claims", "The claims can be read", "The claims cannot be read"},
	token.RuleIssuer:    {"the issuer", "The issuer is the one of the server", "The token is from another issuer"},
	token.RuleSignature: {"the signature", "The signature is by a key of the issuer", "The signature does not verify"},
	token.RuleKind:      {"marks of other kinds", "No claim marks another kind of token", "A claim marks another kind of token"},
	token.RuleRequired:  {"required claims", "The required claims are present", "A required claim is missing or has another value"},
	token.RuleExpiry:    {"the expiry", "The token has not expired", "The token has expired"},
	token.RuleBeginning: {"the beginning", "The token is valid already", "The token is not valid yet"},
	token.RuleBearer:    {"whether the token is bound to a key", "The token is a bearer token", "The token is bound to a key"},
	token.RuleSubject:   {"the subject", "The subject is a user", "The subject is not a user"},
	token.RuleAudience:  {"the audience", "The token is for this server", "The token is not for this server"},
	ruleIntrospect:      {"what the provider says", "The provider says that the token is active", "The provider does not accept the token"},
	ruleOwnClaims:       {"the claims of the provider", "The claims of the provider can be used", "The claims of the provider cannot be used"},
	ruleMachine:         {"whether it was issued to a user", "The token was issued to a user", "The token was issued to a machine"},
	ruleRevoked:         {"whether it was revoked", "The token was not revoked", "The token was revoked"},
	ruleScopes:          {"the scopes", "The token has the scopes that every request needs", "The token lacks a scope"},
}

// ownRules are the rules that follow those of package token, with their reasons.
var ownRules = []struct {
	rule    token.Rule
	reasons []reason.Reason
}{
	{ruleOwnClaims, []reason.Reason{reason.UnusableClaims}},
	{ruleMachine, []reason.Reason{reason.MachineToken}},
	{ruleRevoked, []reason.Reason{reason.Revoked}},
	{ruleScopes, []reason.Reason{reason.InsufficientScope, reason.InsufficientPermission, reason.NoOrganization}},
}

// ruleFindings returns one finding for each rule, in the order of the guard.
func (e *explainer) ruleFindings() []Finding {
	out := e.credentialFindings()
	if e.asksProvider() {
		return joinSkipped(append(append(out, e.introspectionFinding()), e.ownFindings()...))
	}
	if e.assumed && isOpaqueReason(e.verdict.reason) && e.mayBeOpaque() && !e.text.truncated {
		return append(out, e.opaqueFinding())
	}
	for _, c := range e.inspection.Checks {
		if c.Rule != token.RuleSize {
			out = append(out, e.ruleFinding(c))
		}
	}
	return joinSkipped(append(out, e.ownFindings()...))
}

// joinSkipped puts the rules that were not checked for the same reason, and about which there is
// nothing to do, into one finding, at the place of the first.
func joinSkipped(findings []Finding) []Finding {
	out := findings[:0:0]
	at := make(map[string]int) // by evidence
	for _, f := range findings {
		first, ok := at[f.Evidence]
		switch {
		case f.Level != Unchecked || f.Fix != "":
		case ok:
			out[first].Title += ", " + strings.TrimPrefix(f.Title, notChecked)
			continue
		default:
			at[f.Evidence] = len(out)
		}
		out = append(out, f)
	}
	return out
}

// asksProvider reports whether the guard asks a provider about the token, instead of verifying it
// as a JWT.
func (e *explainer) asksProvider() bool {
	if !e.isOpaque() {
		return false
	}
	return slices.ContainsFunc(e.providers, func(p gatehouse.Provider) bool { return p.Introspect != nil })
}

// opaqueFinding returns the finding about an opaque token if it is not known whether the server asks
// the provider about it.
func (e *explainer) opaqueFinding() Finding {
	return Finding{
		ID:       ruleID(ruleIntrospect),
		Level:    Unchecked,
		Title:    "It is not known whether the server accepts opaque tokens",
		Evidence: "the token is not a JWT, so only the provider can say whether it is active (RFC 7662)",
		Fix:      cmp.Or(e.hintOfVendor(reason.Opaque), e.provider().Hints[reason.Opaque], doOf(reason.Opaque)),
	}
}

// hintOfVendor returns the advice of the provider whose opaque tokens begin as this one does, or "".
func (e *explainer) hintOfVendor(r reason.Reason) string {
	if e.seen.Vendor == "Clerk" {
		return clerk.Provider(unknownIssuer).Hints[r]
	}
	return ""
}

// credentialFindings returns the findings about what is checked before the token is read.
func (e *explainer) credentialFindings() []Finding {
	size := Finding{ID: ruleID(token.RuleSize), Level: OK, Title: ruleTexts[token.RuleSize].holds,
		Evidence: fmt.Sprintf("%d bytes", len(e.text.token))}
	if e.verdict.reason == reason.TooLarge {
		size = e.fault(token.RuleSize, e.verdict.detail, e.verdict)
	}
	form := Finding{ID: ruleID(ruleCredentials), Level: OK, Title: ruleTexts[ruleCredentials].holds, Evidence: "RFC 6750 section 2.1"}
	if e.verdict.reason == reason.MalformedCredentials {
		form = e.fault(ruleCredentials, e.verdict.detail, e.verdict)
	}
	return []Finding{size, form}
}

// ruleFinding returns the finding about a rule of package token.
func (e *explainer) ruleFinding(c token.Check) Finding {
	f := Finding{ID: ruleID(c.Rule), Level: OK, Title: ruleTexts[c.Rule].holds, Evidence: e.evidence(c.Rule)}
	switch {
	case c.Rule == token.RuleSignature:
		return e.signatureFinding(c)
	case c.Rule == token.RuleIssuer && e.unknownIssuer && e.seen.Issuer != "" && tokenReason(c.Err) != reason.MissingClaim:
		return e.issuerFinding()
	case c.Rule == token.RuleAudience && e.unknownResource && c.Err == nil && !c.Skipped:
		f.Level, f.Title = Unchecked, "It is not known whether the token is for this server"
		f.Evidence = "no server was given to compare it with; " + f.Evidence
		f.Fix = "pass the URL of the MCP server with --target or --resource"
	case c.Skipped:
		return skipped(c.Rule, "what it is about could not be read")
	case c.Err != nil:
		return e.fault(c.Rule, c.Err, e.verdictAbout(c.Err))
	case c.Rule == token.RuleAudience && e.inspection.Unbound:
		f.Level, f.Title = Warning, "The token names no server"
		f.Consequence = "every server of the issuer that gets this token can use it here"
		f.Fix = cmp.Or(e.provider().Hints[reason.Unbound], doOf(reason.Unbound))
	}
	return f
}

// issuerFinding returns the finding about an issuer that there is nothing to compare with.
func (e *explainer) issuerFinding() Finding {
	if e.provider().Issuer == unknownIssuer {
		return Finding{
			ID:          ruleID(token.RuleIssuer),
			Level:       Fault,
			Title:       "The issuer is not one that a server can trust",
			Evidence:    "iss is " + quote.String(e.seen.Issuer) + ", want an https URL",
			Consequence: consequence(reason.WrongIssuer),
			Fix:         "have the client sign in at the issuer of the server, and send the access token from there",
		}
	}
	return Finding{
		ID:       ruleID(token.RuleIssuer),
		Level:    Unchecked,
		Title:    "It is not known whether the server trusts the issuer",
		Evidence: fmt.Sprintf("iss is %s; no server was given to compare it with", quote.String(e.seen.Issuer)),
		Fix:      "pass the URL of the MCP server with --target, or the issuer with --issuer",
	}
}

// signatureFinding returns the finding about the signature, which only the guard can check.
func (e *explainer) signatureFinding(c token.Check) Finding {
	rule := token.RuleSignature
	first := e.inspection.First()
	switch {
	case c.Err != nil:
		return e.fault(rule, c.Err, e.verdict)
	case c.Skipped && e.ruleError(token.RuleForm) != nil:
		return skipped(rule, "what it is about could not be read")
	case first != nil && e.isBefore(first.Rule, rule):
		return skipped(rule, "the server rejects the token before it looks up a key")
	case e.verdict.reason == reason.ProviderUnavailable && wasAsked(e.verdict.detail):
		f := skipped(rule, "the keys of the issuer are unavailable: "+quote.Clip(e.verdict.detail.Error(), maxMemberValue))
		f.Fix = doOf(reason.ProviderUnavailable)
		return f
	case e.verdict.reason == reason.ProviderUnavailable:
		f := skipped(rule, "the keys of the issuer were not fetched")
		f.Fix = "pass --keys to fetch them"
		return f
	case isKeyReason(e.verdict):
		return e.fault(rule, e.verdict.detail, e.verdict)
	case e.provider().DangerouslySkipVerification:
		return skipped(rule, "the server does not verify tokens (DangerouslySkipVerification)")
	}
	return Finding{ID: ruleID(rule), Level: OK, Title: ruleTexts[rule].holds, Evidence: "key " + quote.String(e.seen.KeyID)}
}

// isKeyReason reports whether the guard rejected the token because of its key.
func isKeyReason(v verdict) bool {
	switch v.reason {
	case reason.UnknownKey, reason.MissingKeyID, reason.BadSignature, reason.WrongAlgorithm:
		return true
	}
	return false
}

// isBefore reports whether the guard checks the rule a before b.
func (e *explainer) isBefore(a, b token.Rule) bool {
	at := func(rule token.Rule) int {
		return slices.IndexFunc(e.inspection.Checks, func(c token.Check) bool { return c.Rule == rule })
	}
	return at(a) < at(b)
}

// introspectionFinding returns the finding about a token that a provider is asked about.
func (e *explainer) introspectionFinding() Finding {
	v := e.verdict
	switch {
	case v.accepted:
		return Finding{ID: ruleID(ruleIntrospect), Level: OK, Title: ruleTexts[ruleIntrospect].holds, Evidence: "the provider was asked"}
	case v.reason == reason.ProviderUnavailable && !wasAsked(v.detail):
		f := skipped(ruleIntrospect, "the server asks the provider about such a token, and the provider was not asked")
		f.Fix = "pass --introspect to send the token to the provider"
		return f
	case v.reason == reason.ProviderUnavailable:
		return skipped(ruleIntrospect, "the provider is unavailable: "+quote.Clip(v.detail.Error(), maxMemberValue))
	case v.reason == reason.TooLarge || v.reason == reason.MalformedCredentials:
		return skipped(ruleIntrospect, "the server rejects the token before it asks the provider")
	case slices.ContainsFunc(ownRules, isAbout(v.reason)):
		return Finding{ID: ruleID(ruleIntrospect), Level: OK, Title: ruleTexts[ruleIntrospect].holds, Evidence: "the provider was asked"}
	}
	return e.fault(ruleIntrospect, v.detail, v)
}

func isAbout(r reason.Reason) func(struct {
	rule    token.Rule
	reasons []reason.Reason
}) bool {
	return func(own struct {
		rule    token.Rule
		reasons []reason.Reason
	}) bool {
		return slices.Contains(own.reasons, r)
	}
}

// ownFindings returns the findings about the rules that the guard checks last.
func (e *explainer) ownFindings() []Finding {
	f := e.failure()
	reached := f.accepted
	failed := slices.IndexFunc(ownRules, isAbout(f.reason))
	var out []Finding
	for i, own := range ownRules {
		switch {
		case own.rule == ruleScopes && len(e.server.RequiredScopes) == 0 && i != failed:
			continue // there is no such rule
		case own.rule == ruleRevoked && e.server.Revoked == nil && i != failed:
			continue
		case i == failed:
			out = append(out, e.fault(own.rule, f.detail, f))
		case reached || i < failed:
			out = append(out, Finding{ID: ruleID(own.rule), Level: OK, Title: ruleTexts[own.rule].holds, Evidence: e.ownEvidence(own.rule)})
		default:
			out = append(out, skipped(own.rule, "the server rejects the token before it checks this"))
		}
	}
	return out
}

// ownEvidence says what a rule of the guard found.
func (e *explainer) ownEvidence(rule token.Rule) string {
	id := e.failure().identity
	switch rule {
	case ruleMachine:
		return "subject " + quote.String(id.Subject)
	case ruleScopes:
		return "scopes " + quote.List(id.Scopes)
	case ruleOwnClaims:
		if parts := identityParts(id); len(parts) > 0 {
			return strings.Join(parts, ", ")
		}
		return "there are none"
	}
	return "the server says so"
}

// identityParts are the parts of an identity that not every token has, in words.
func identityParts(id gatehouse.Identity) []string {
	var parts []string
	if len(id.Roles) > 0 {
		parts = append(parts, "roles "+quote.List(id.Roles))
	}
	if len(id.Permissions) > 0 {
		parts = append(parts, "permissions "+quote.List(id.Permissions))
	}
	if id.Organization.ID != "" {
		parts = append(parts, "organization "+quote.String(id.Organization.ID))
	}
	return parts
}

// fault returns the finding about a rule that does not hold. v has the guard's own hint, if it
// rejected the token because of this rule.
func (e *explainer) fault(rule token.Rule, err error, v verdict) Finding {
	why := cmp.Or(v.reason, tokenReason(err))
	f := Finding{
		ID:          ruleID(rule),
		Level:       Fault,
		Title:       ruleTexts[rule].fails,
		Evidence:    "the server has a rule that the token does not meet",
		Consequence: consequence(why),
		Fix:         cmp.Or(v.hint, e.provider().Hints[why], doOf(why)),
	}
	if err != nil {
		// The placeholder of a resource with a query is not one that anyone wrote.
		said := strings.ReplaceAll(err.Error(), strconv.Quote(unknownResource)+", ", "")
		f.Evidence = quote.Clip(said, maxMemberValue)
	}
	f.Evidence += e.difference(rule)
	if info, ok := kindInfos[e.kind()]; ok && slices.Contains(kindReasons, why) {
		f.Fix = info.fix
	}
	return f
}

// difference says in which part an issuer or an audience differs from the one that is wanted, if that
// is easily overlooked. Otherwise it returns "".
func (e *explainer) difference(rule token.Rule) string {
	var got, want []string
	switch rule {
	case token.RuleIssuer:
		got = []string{e.seen.Issuer}
		for i := range e.providers {
			want = append(want, e.providers[i].TokenIssuers...)
		}
	case token.RuleAudience:
		got, want = e.seen.Audience, e.wantedAudiences()
	}
	for _, g := range got {
		for _, w := range want {
			if words := overlooked(g, w); words != "" {
				return "; they differ only in " + words
			}
		}
	}
	return ""
}

// overlooked returns the part in which two URLs differ, if it is the only one, in words.
func overlooked(a, b string) string {
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	if a == b || errA != nil || errB != nil {
		return ""
	}
	trim := func(s string) string { return strings.TrimSuffix(s, "/") }
	samePath := ua.Path == ub.Path
	switch {
	case trim(a) == trim(b):
		return "the slash at the end"
	case strings.EqualFold(a, b):
		return "upper and lower case"
	case ua.Scheme == ub.Scheme && ua.Host == ub.Host && samePath:
		return "the query"
	case ua.Host == ub.Host && samePath && ua.RawQuery == ub.RawQuery:
		return "http and https"
	case ua.Scheme == ub.Scheme && ua.Host == ub.Host:
		return "the path"
	case ua.Scheme == ub.Scheme && samePath && ua.Hostname() == ub.Hostname():
		return "the port"
	case ua.Scheme == ub.Scheme && samePath && wellknown.IsLoopback(ua.Host) && wellknown.IsLoopback(ub.Host):
		return "the name of this machine: localhost and 127.0.0.1 are two servers"
	}
	return ""
}

// verdictAbout returns the guard's rejection if it is that of err, and otherwise only the reason
// of err: the guard stops at the first rule.
func (e *explainer) verdictAbout(err error) verdict {
	f := e.failure()
	if f.detail != nil && err != nil && f.detail.Error() == err.Error() {
		return f
	}
	return verdict{reason: tokenReason(err)}
}

// evidence says what the token has that a rule accepts.
func (e *explainer) evidence(rule token.Rule) string {
	s := e.seen
	switch rule {
	case token.RuleForm:
		return "three parts in base64url"
	case token.RuleHeader, token.RuleClaims:
		return "one JSON object"
	case token.RuleCritical:
		return "there is neither crit nor b64"
	case token.RuleAlgorithm:
		return "alg is " + quote.String(s.Algorithm)
	case token.RuleType:
		return "typ is " + quote.String(s.Type)
	case token.RuleIssuer:
		return "iss is " + quote.String(s.Issuer)
	case token.RuleRequired:
		return "sub, exp and what the provider requires"
	case token.RuleExpiry:
		return "exp is " + whenInWords(s.Expiry, e.now)
	case token.RuleBeginning:
		if s.IssuedAt.IsZero() {
			return "the token has no iat"
		}
		return "iat is " + whenInWords(s.IssuedAt, e.now)
	case token.RuleBearer:
		return "there is no cnf"
	case token.RuleSubject:
		return "sub is " + quote.String(s.Subject)
	case token.RuleAudience:
		if len(s.Audience) == 0 {
			return "there is no aud"
		}
		return "aud is " + quote.List(s.Audience)
	}
	return "nothing was found"
}

// notChecked begins the titles of rules that were not checked.
const notChecked = "Not checked: "

// skipped returns the finding about a rule that could not be checked.
func skipped(rule token.Rule, why string) Finding {
	return Finding{ID: ruleID(rule), Level: Unchecked, Title: notChecked + ruleTexts[rule].subject, Evidence: why}
}

// ruleID returns the ID of the findings about a rule.
func ruleID(rule token.Rule) string { return "token." + string(rule) }

// tokenError returns the error of package token in err, or nil.
func tokenError(err error) *token.Error {
	var fault *token.Error
	errors.As(err, &fault)
	return fault
}

// tokenReason returns the reason of an error of package token, or "".
func tokenReason(err error) reason.Reason {
	if fault := tokenError(err); fault != nil {
		return fault.Reason
	}
	return ""
}

// consequence says what the server answers for a reason.
func consequence(r reason.Reason) string {
	info, ok := reason.InfoOf(r)
	if !ok {
		return "the server rejects the token"
	}
	return fmt.Sprintf("the server answers %d %s (reason %s): %s", info.Status, info.Code, r, info.Phrase)
}

// phraseOf returns the phrase of a reason.
func phraseOf(r reason.Reason) string {
	info, ok := reason.InfoOf(r)
	if !ok {
		return "it is not a token"
	}
	return info.Phrase
}

// doOf returns the advice of the table of reasons.
func doOf(r reason.Reason) string {
	info, _ := reason.InfoOf(r)
	return info.Do
}

// wantedAudiences returns the audiences with which a token is for the server.
func (e *explainer) wantedAudiences() []string {
	wanted := slices.Clone(e.provider().Tokens.Audiences)
	if e.server.Resource == unknownResource {
		return wanted
	}
	return append(wanted, e.server.Resource)
}
