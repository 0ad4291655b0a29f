package token

import (
	"encoding/base64"
	"errors"
	"strings"
	"unsafe"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// compact is a JWS in compact serialization (RFC 7515 §7.1).
type compact struct {
	header    string
	payload   string
	bytes     []byte // the same memory as payload, for those who decode it further
	signed    string // the signing input: the first two parts as they came
	signature string // the third part as it came
}

// base64url is RFC 7515 §2: no padding, and by Strict no second spelling of the
// same bytes. Its decoder skips line breaks, which split refuses.
var base64url = base64.RawURLEncoding.Strict()

// split cuts raw, at most maxSize bytes, into its parts.
func split(raw string, maxSize int) (compact, error) {
	if len(raw) > maxSize {
		return compact{}, tooLarge(len(raw), maxSize)
	}
	if strings.HasPrefix(raw, "{") {
		return compact{}, malformed("form", errors.New("JSON serialization, want the compact one"))
	}
	switch strings.Count(raw, ".") {
	case 2:
	case 4:
		return compact{}, &Error{Reason: reason.Encrypted}
	default:
		return compact{}, &Error{Reason: reason.Opaque}
	}
	if strings.IndexByte(raw, '\r') >= 0 || strings.IndexByte(raw, '\n') >= 0 {
		return compact{}, malformed("form", errors.New("line break"))
	}
	header, rest, _ := strings.Cut(raw, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	c := compact{signed: raw[:len(header)+1+len(payload)], signature: signature}
	return c, c.decode(header, payload)
}

// decode sets what the first two parts say.
func (c *compact) decode(header, payload string) error {
	text := make([]byte, 0, base64url.DecodedLen(len(header))+base64url.DecodedLen(len(payload)))
	text, err := base64url.AppendDecode(text, readOnly(header))
	if err != nil {
		return malformed("header", err)
	}
	n := len(text)
	if text, err = base64url.AppendDecode(text, readOnly(payload)); err != nil {
		return malformed("payload", err)
	}
	// One piece of memory, written to no more, serves every string that the token will hold.
	all := unsafe.String(unsafe.SliceData(text), len(text))
	c.header, c.payload, c.bytes = all[:n], all[n:], text[n:len(text):len(text)]
	return nil
}

// appendSignature appends the bytes of the signature to dst.
func (c *compact) appendSignature(dst []byte) ([]byte, error) {
	signature, err := base64url.AppendDecode(dst, readOnly(c.signature))
	if err != nil {
		return nil, malformed("signature", err)
	}
	return signature, nil
}
