package token

import (
	"slices"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// Rule names one of the rules that [Set.Verify] checks.
type Rule string

// The rules, in the order in which Verify checks the token of a set with one member. With
// several members, RuleIssuer comes before the rules about the header.
const (
	RuleSize      Rule = "size"      // MaxBytes
	RuleForm      Rule = "form"      // compact serialization: three parts in base64url
	RuleHeader    Rule = "header"    // the header is one strict JSON object
	RuleCritical  Rule = "critical"  // the header has neither "crit" nor "b64"
	RuleAlgorithm Rule = "algorithm" // Algorithms
	RuleType      Rule = "type"      // RejectedHeader and Types
	RuleClaims    Rule = "claims"    // the claims are one strict JSON object, of the right types
	RuleIssuer    Rule = "issuer"    // Issuers
	RuleSignature Rule = "signature" // a key of the issuer made the signature
	RuleKind      Rule = "marks"     // RejectedClaims
	RuleRequired  Rule = "required"  // "sub", "exp", RequiredClaims and RequiredValues
	RuleExpiry    Rule = "expiry"    // "exp"
	RuleBeginning Rule = "beginning" // "nbf" and "iat"
	RuleBearer    Rule = "bearer"    // no "cnf"
	RuleSubject   Rule = "subject"   // SubjectPrefix
	RuleAudience  Rule = "audience"  // Audience, Audiences, BoundClients and BoundScopePrefix
)

// Check is one rule applied to one token.
type Check struct {
	Rule Rule
	Err  error // why the rule does not hold, an [*Error]; nil if it holds or was skipped

	// Skipped says that the rule could not be applied: what it is about could not be read,
	// or the provider of the token is not known. RuleSignature is always skipped if all
	// rules before it hold, because Inspect has no keys.
	Skipped bool
}

// Inspection is what the rules of a [Set] say about one token, without its signature.
// Nothing in it is verified. It explains a token to a person, and must never decide about
// access: see [Set.Verify].
type Inspection struct {
	// Checks has each rule once, in the order in which Verify checks them. The first one
	// that fails has the error of Verify, unless that is about the signature.
	Checks []Check

	Member   int  // index of the member whose rules were applied, or -1 if none is known
	Readable bool // the claims could be read
	Unbound  bool // the token has no audience, and no rule binds it to this server
	Machine  bool // the token was issued to a machine; see Token.Machine
}

// First returns the first check that fails, or nil if none does.
func (i *Inspection) First() *Check {
	at := slices.IndexFunc(i.Checks, func(c Check) bool { return c.Err != nil })
	if at < 0 {
		return nil
	}
	return &i.Checks[at]
}

// Inspect applies each rule of the set to raw, whether or not an earlier one holds. It checks
// no signature and looks up no key.
func (s *Set) Inspect(raw string, now time.Time) Inspection {
	in := inspector{set: s, now: now, Inspection: Inspection{Member: -1}}
	in.inspect(raw)
	return in.Inspection
}

// inspector is one call of Inspect.
type inspector struct {
	Inspection
	set *Set
	now time.Time

	header header
	claims claims
}

func (in *inspector) add(rule Rule, err error) {
	in.Checks = append(in.Checks, Check{Rule: rule, Err: err})
}

func (in *inspector) skip(rules ...Rule) {
	for _, rule := range rules {
		in.Checks = append(in.Checks, Check{Rule: rule, Skipped: true})
	}
}

// Groups of rules that are skipped together.
var (
	headerRules  = []Rule{RuleCritical, RuleAlgorithm, RuleType}
	contentRules = []Rule{RuleKind, RuleRequired, RuleExpiry, RuleBeginning, RuleBearer, RuleSubject, RuleAudience}
)

func (in *inspector) inspect(raw string) {
	sizeErr := in.set.CheckSize(raw)
	jws, err := split(raw, LargestMaxSize)
	if sizeErr != nil && len(raw) > LargestMaxSize {
		err = nil // it was not split because of its size
	}
	only := len(in.set.members) == 1
	if err != nil || len(raw) > LargestMaxSize {
		in.add(RuleSize, sizeErr)
		if err != nil {
			in.add(RuleForm, err)
		} else {
			in.skip(RuleForm)
		}
		in.skip(RuleHeader)
		in.skip(headerRules...)
		in.skip(RuleClaims, RuleIssuer, RuleSignature)
		in.skip(contentRules...)
		return
	}
	in.read(&jws, only, raw, sizeErr)
}

// read inspects a token that has three parts.
func (in *inspector) read(jws *compact, only bool, raw string, sizeErr error) {
	var headerErr, claimsErr error
	if in.header, headerErr = readHeader(jws.header, in.set.names.header); headerErr != nil {
		headerErr = malformed("header", headerErr)
	}
	in.claims, claimsErr = readClaims(jws.payload, in.set.names.claims)
	in.Readable = claimsErr == nil
	in.findMember(only)
	if in.Member >= 0 && sizeErr == nil {
		sizeErr = in.set.members[in.Member].CheckSize(raw)
	}
	if in.Member >= 0 && headerErr == nil {
		if err := in.header.others.checkSpelling(in.set.own[in.Member].header); err != nil {
			headerErr = malformed("header", err)
		}
	}
	if in.Member >= 0 && claimsErr == nil {
		claimsErr = in.checkClaimsForm()
	}
	in.add(RuleSize, sizeErr)
	in.add(RuleForm, nil)
	in.add(RuleHeader, headerErr)
	if only {
		in.checkHeader(headerErr)
	}
	in.checkIssuer(claimsErr, only, headerErr)
	in.checkSignature(jws)
	in.checkContent()
}

// findMember sets Member: the provider of the token, or the only one.
func (in *inspector) findMember(only bool) {
	i, ok := in.set.byIssuer[in.claims.issuer]
	switch {
	case only:
		in.Member = 0
	case ok && in.Readable:
		in.Member = i
	}
}

// checkClaimsForm checks how the claims are spelled, and the types of those that rules name.
func (in *inspector) checkClaimsForm() error {
	if err := in.claims.checkSpelling(in.set.own[in.Member].claims); err != nil {
		return err
	}
	m := &in.set.members[in.Member]
	return in.claims.readOptional(m.clientClaims(), m.scopeClaims())
}

func (in *inspector) checkHeader(headerErr error) {
	if headerErr != nil || in.Member < 0 {
		in.skip(headerRules...)
		return
	}
	v := in.set.members[in.Member].Verifier
	var critical error
	if in.header.critical != "" {
		critical = &Error{Reason: reason.CriticalHeader, Claim: in.header.critical}
	}
	in.add(RuleCritical, critical)
	h := in.header
	h.critical = "" // the algorithm is inspected in any case
	in.add(RuleAlgorithm, v.checkAlgorithm(&h))
	in.add(RuleType, v.checkType(&h))
}

// checkIssuer adds the rules about the claims as a whole and about the issuer, and, in a set of
// several members, those about the header, which depend on it.
func (in *inspector) checkIssuer(claimsErr error, only bool, headerErr error) {
	in.add(RuleClaims, claimsErr)
	switch {
	case !in.Readable:
		in.skip(RuleIssuer)
	case in.claims.issuer == "":
		in.add(RuleIssuer, &Error{Reason: reason.MissingClaim, Claim: "iss"})
	case in.Member < 0 || !slices.Contains(in.set.members[in.Member].Issuers, in.claims.issuer):
		in.add(RuleIssuer, wrongIssuer(in.claims.issuer, in.set.issuers))
	default:
		in.add(RuleIssuer, nil)
	}
	if !only {
		in.checkHeader(headerErr)
	}
	in.orderClaims()
}

// orderClaims puts RuleClaims after RuleIssuer if Verify finds its error only then: the spelling
// and the types of the claims that the rules of one provider name are checked once the issuer is.
func (in *inspector) orderClaims() {
	claimsAt := slices.IndexFunc(in.Checks, func(c Check) bool { return c.Rule == RuleClaims })
	if !in.Readable || in.Checks[claimsAt].Err == nil {
		return
	}
	c := in.Checks[claimsAt]
	in.Checks = append(slices.Delete(in.Checks, claimsAt, claimsAt+1), c)
}

// checkSignature checks the form of the signature, if every earlier rule holds. Whether a key
// made it is not known here.
func (in *inspector) checkSignature(jws *compact) {
	err := in.signatureForm(jws)
	if in.First() != nil || err == nil {
		in.skip(RuleSignature)
		return
	}
	in.add(RuleSignature, err)
}

// signatureForm returns the error of Verify for a signature that no key can have made.
func (in *inspector) signatureForm(jws *compact) error {
	signature, err := jws.decodeSignature()
	if err != nil || in.Member < 0 || in.set.members[in.Member].Secret != nil {
		return err
	}
	alg, _ := jose.Lookup(in.header.algorithm)
	s := signed{algorithm: alg, signature: signature, keyID: in.header.keyID}
	if err := s.checkLength(); err != nil {
		return &Error{Reason: reason.BadSignature, Got: s.quotedKeyID(), Err: err}
	}
	return nil
}

// checkContent adds the rules that Verify checks once the signature is verified.
func (in *inspector) checkContent() {
	if !in.Readable || in.Member < 0 {
		in.skip(contentRules...)
		return
	}
	v := in.set.members[in.Member].Verifier
	c := &in.claims
	in.add(RuleKind, v.checkRejected(c))
	in.add(RuleRequired, v.checkRequired(c))
	if c.expiry.IsZero() {
		in.skip(RuleExpiry) // RuleRequired says that it is missing
	} else {
		in.add(RuleExpiry, v.checkExpiry(c, in.now))
	}
	in.add(RuleBeginning, v.checkBeginning(c, in.now))
	in.add(RuleBearer, checkConfirmation(c))
	if c.subject == "" {
		in.skip(RuleSubject)
	} else {
		in.add(RuleSubject, v.checkSubject(c))
	}
	in.add(RuleAudience, v.checkAudience(c))
	in.Unbound = v.isUnbound(c) && !v.bindsWithoutAudience()
	in.Machine = v.isMachine(c)
}
