package token

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// headerNames are the header parameters that are read. All others are ignored, as
// RFC 7515 §4 requires: above all "jwk", "jku", "x5c" and "x5u", with which a token
// would choose its own key (RFC 8725 §3.10).
var headerNames = []string{"alg", "typ", "kid", "crit", "b64"}

// header is a JOSE header (RFC 7515 §4).
type header struct {
	algorithm string
	typ       string
	keyID     string // empty without one
	critical  string // "crit" or "b64", if the header has one of them
	others    members
}

// parseHeader reads text, with the values of the parameters that are called names. If it
// fails, the header holds what was read before.
func parseHeader(text string, names []string) (header, error) {
	h, err := readHeader(text, names)
	if err == nil {
		err = h.others.checkSpelling(names)
	}
	return h, err
}

// readHeader is parseHeader without the check of how the names are spelled.
func readHeader(text string, names []string) (header, error) {
	var h header
	err := strictjson.Walk(text, func(m strictjson.Member) error {
		known, err := h.set(m)
		if err == nil && (!known || m.Escaped) {
			err = h.others.add(m, headerNames, names)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", quote.String(m.Name), err)
		}
		return nil
	})
	return h, err
}

// set sets the parameter of m, and reports whether it is one of headerNames.
func (h *header) set(m strictjson.Member) (known bool, err error) {
	switch m.Name {
	case "alg":
		h.algorithm, err = strictjson.Text(m.Value)
	case "typ":
		h.typ, err = strictjson.Text(m.Value)
	case "kid":
		if h.keyID, err = strictjson.Text(m.Value); len(h.keyID) > jose.MaxKeyID {
			err = fmt.Errorf("%d bytes, want at most %d", len(h.keyID), jose.MaxKeyID)
		}
	case "crit", "b64":
		h.critical = m.Name
	default:
		return false, nil
	}
	return true, err
}

// kind returns the kind of token that a parameter marks, or "" if none does. Such a
// parameter must be a string.
func (h *header) kind(rejected map[string]map[string]string) (string, error) {
	for _, m := range h.others {
		kinds, ok := rejected[m.name]
		if !ok {
			continue
		}
		value, err := strictjson.Text(m.value)
		if err != nil {
			return "", malformed("header", fmt.Errorf("%s: %w", quote.String(m.name), err))
		}
		if kind, ok := kinds[value]; ok {
			return kind, nil
		}
	}
	return "", nil
}

// checkHeader checks what decides how the signature is verified, and then whether the
// token is an access token.
func (v *Verifier) checkHeader(h *header) error {
	if err := v.checkAlgorithm(h); err != nil {
		return err
	}
	return v.checkType(h)
}

// checkAlgorithm checks what decides how the signature is verified.
func (v *Verifier) checkAlgorithm(h *header) error {
	if v.Secret != nil {
		return h.checkSymmetric()
	}
	return h.checkAlgorithm(v.Algorithms)
}

// checkType checks whether the header is that of an access token.
func (r *Rules) checkType(h *header) error {
	kind, err := h.kind(r.RejectedHeader)
	switch {
	case err != nil:
		return err
	case kind != "":
		return &Error{Reason: reason.WrongType, Claim: "typ", Got: quote.String(kind), Want: quote.String("access token"), Kind: kind}
	case !r.acceptsType(h.typ):
		return &Error{Reason: reason.WrongType, Claim: "typ", Got: quote.String(h.typ), Want: quote.OneOf(r.Types)}
	}
	return nil
}

// checkAlgorithm checks what decides how the signature is verified. An algorithm with two
// names is accepted under both, whichever of them allowed has.
func (h *header) checkAlgorithm(allowed []string) error {
	if h.critical != "" {
		return &Error{Reason: reason.CriticalHeader, Claim: h.critical}
	}
	alg, ok := jose.Lookup(h.algorithm)
	isAllowed := func(name string) bool { return jose.Canonical(name) == alg.Name }
	if !ok || !slices.Contains(allowed, h.algorithm) && !slices.ContainsFunc(allowed, isAllowed) {
		return &Error{Reason: reason.WrongAlgorithm, Claim: "alg", Got: quote.String(h.algorithm), Want: quote.OneOf(allowed)}
	}
	return nil
}

// symmetric is the one algorithm of Verifier.Secret.
const symmetric = "HS256"

// checkSymmetric is checkAlgorithm for a Verifier with a secret. What it allows does not
// depend on the rules: a key of another algorithm is never used as a secret.
func (h *header) checkSymmetric() error {
	switch {
	case h.critical != "":
		return &Error{Reason: reason.CriticalHeader, Claim: h.critical}
	case h.algorithm != symmetric:
		return &Error{Reason: reason.WrongAlgorithm, Claim: "alg", Got: quote.String(h.algorithm), Want: quote.String(symmetric)}
	}
	return nil
}

func (r *Rules) acceptsType(typ string) bool {
	typ = mediaType(typ)
	for _, want := range r.Types {
		if strings.EqualFold(typ, mediaType(want)) {
			return true
		}
	}
	return false
}

// mediaType returns typ without the prefix that RFC 7515 §4.1.9 lets issuers leave out.
func mediaType(typ string) string {
	const prefix = "application/"
	if len(typ) > len(prefix) && strings.EqualFold(typ[:len(prefix)], prefix) && !strings.Contains(typ[len(prefix):], "/") {
		return typ[len(prefix):]
	}
	return typ
}
