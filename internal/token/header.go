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
	keyID     string
	critical  string // "crit" or "b64", if the header has one of them
	kind      string // the kind of token, if a parameter of Rules.RejectedHeader marks another one
}

// parseHeader reads text. If it fails, the header holds what was read before.
func parseHeader(text string, rejected map[string]map[string]string) (header, error) {
	var h header
	err := strictjson.Walk(text, func(m strictjson.Member) error {
		known, err := h.set(m)
		if err == nil && (!known || m.Escaped) {
			err = h.setOther(m, rejected)
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

// setOther reads a parameter that is not one of headerNames. It may mark another kind of token.
func (h *header) setOther(m strictjson.Member, rejected map[string]map[string]string) error {
	if err := m.CheckSpelling(headerNames...); err != nil {
		return err
	}
	for name, kinds := range rejected {
		if err := m.CheckSpelling(name); err != nil {
			return err
		}
		if m.Name != name {
			continue
		}
		value, err := strictjson.Text(m.Value)
		if err != nil {
			return err
		}
		if kind, ok := kinds[value]; ok {
			h.kind = kind
		}
	}
	return nil
}

// checkHeader checks what decides how the signature is verified, and then whether the
// token is an access token.
func (r *Rules) checkHeader(h *header) error {
	if err := h.checkAlgorithm(r.Algorithms); err != nil {
		return err
	}
	switch {
	case h.kind != "":
		return &Error{Reason: reason.WrongType, Claim: "typ", Got: quote.String(h.kind), Want: quote.String("access token")}
	case !r.acceptsType(h.typ):
		return &Error{Reason: reason.WrongType, Claim: "typ", Got: quote.String(h.typ), Want: quote.OneOf(r.Types)}
	case h.keyID == "":
		return &Error{Reason: reason.MissingKeyID, Claim: "kid"}
	}
	return nil
}

// checkAlgorithm checks what decides how the signature is verified.
func (h *header) checkAlgorithm(allowed []string) error {
	if h.critical != "" {
		return &Error{Reason: reason.CriticalHeader, Claim: h.critical}
	}
	if !slices.Contains(allowed, h.algorithm) {
		return &Error{Reason: reason.WrongAlgorithm, Claim: "alg", Got: quote.String(h.algorithm), Want: quote.OneOf(allowed)}
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
