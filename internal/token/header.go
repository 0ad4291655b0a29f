package token

import (
	"fmt"
	"slices"
	"strings"
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
	kind      string // the kind of token that a parameter of Rules.RefusedHeader marks
}

// parseHeader reads text. After a fault the header holds what was read before it.
func parseHeader(text string, refused map[string]map[string]string) (header, error) {
	var h header
	o := object{scanner: scanner{text: text}, reserved: [2][]string{headerNames}}
	for o.next() {
		if err := h.set(&o, refused); err != nil {
			return h, fmt.Errorf("%s: %w", quote(o.name), err)
		}
	}
	return h, o.err
}

func (h *header) set(o *object, refused map[string]map[string]string) (err error) {
	switch o.name {
	case "alg":
		h.algorithm, err = o.value.str()
	case "typ":
		h.typ, err = o.value.str()
	case "kid":
		if h.keyID, err = o.value.str(); len(h.keyID) > maxKeyID {
			err = fmt.Errorf("%d bytes, want at most %d", len(h.keyID), maxKeyID)
		}
	case "crit", "b64":
		h.critical = o.name
	}
	if err != nil {
		return err
	}
	return h.mark(o, refused)
}

// mark sets the kind of token if the current parameter says one.
func (h *header) mark(o *object, refused map[string]map[string]string) error {
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
		return &Error{Reason: CriticalHeader, Claim: h.critical}
	}
	if !slices.Contains(allowed, h.algorithm) {
		return &Error{Reason: WrongAlgorithm, Claim: "alg", Got: quote(h.algorithm), Want: oneOf(allowed)}
	}
	return nil
}
