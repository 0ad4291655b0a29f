package token

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// maxKeyID is the longest "kid", in bytes. It is an opaque name, looked up as it is.
const maxKeyID = 256

// headerNames are the header parameters that are read. All others are ignored, as
// RFC 7515 §4 demands: above all "jwk", "jku", "x5c" and "x5u", which would let a
// token choose its own key (RFC 8725 §3.10).
var headerNames = []string{"alg", "typ", "kid", "crit", "b64"}

// header is what a JOSE header says (RFC 7515 §4).
type header struct {
	algorithm string
	typ       string
	keyID     string
	critical  string // "crit" or "b64", if one of them is there
	kind      string // the kind of token that a parameter of Rules.RejectedHeader marks
}

// parseHeader reads text. After a fault the header holds what was read before it.
func parseHeader(text string, refused map[string]map[string]string) (header, error) {
	var h header
	o := object{scanner: scanner{text: text}}
	for o.next() {
		known, err := h.set(o.name, o.value)
		if err == nil && (!known || o.escaped) {
			err = h.setOther(&o, refused)
		}
		if err != nil {
			return h, fmt.Errorf("%s: %w", quote(o.name), err)
		}
	}
	return h, o.err
}

// set sets the parameter name, and reports whether it is one of headerNames.
func (h *header) set(name string, v value) (known bool, err error) {
	switch name {
	case "alg":
		h.algorithm, err = v.str()
	case "typ":
		h.typ, err = v.str()
	case "kid":
		if h.keyID, err = v.str(); len(h.keyID) > maxKeyID {
			err = fmt.Errorf("%d bytes, want at most %d", len(h.keyID), maxKeyID)
		}
	case "crit", "b64":
		h.critical = name
	default:
		return false, nil
	}
	return true, err
}

// setOther reads a parameter that is not one of headerNames: it may tell the kind of token.
func (h *header) setOther(o *object, refused map[string]map[string]string) error {
	if err := o.checkSpelling(headerNames); err != nil {
		return err
	}
	for name, kinds := range refused {
		if !strings.EqualFold(o.name, name) {
			continue
		}
		if o.misspells(name) {
			return fmt.Errorf("want it spelled %q", name)
		}
		value, err := o.value.str()
		if err != nil {
			return err
		}
		if kind, ok := kinds[value]; ok {
			h.kind = kind
		}
	}
	return nil
}

// checkAlgorithm judges what decides how the signature is to be checked.
func (h *header) checkAlgorithm(allowed []string) error {
	if h.critical != "" {
		return &Error{Reason: reason.CriticalHeader, Claim: h.critical}
	}
	if !slices.Contains(allowed, h.algorithm) {
		return &Error{Reason: reason.WrongAlgorithm, Claim: "alg", Got: quote(h.algorithm), Want: oneOf(allowed)}
	}
	return nil
}
