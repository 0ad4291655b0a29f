package token

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// compact is a JWS in compact serialization (RFC 7515 §7.1).
type compact struct {
	header    string // decoded
	payload   string // decoded
	signed    string // the signing input: the first two parts, not decoded
	signature string // the third part, not decoded
}

// base64url is the encoding of RFC 7515 §2: without padding, and Strict, so that no
// two texts encode the same bytes. Its decoder skips line breaks, which split rejects.
var base64url = base64.RawURLEncoding.Strict()

// split splits raw, which may have at most maxSize bytes, into its parts.
func split(raw string, maxSize int) (compact, error) {
	if err := CheckSize(raw, maxSize); err != nil {
		return compact{}, err
	}
	if strings.HasPrefix(raw, "{") {
		return compact{}, malformed("form", errors.New("got JSON serialization, want compact serialization"))
	}
	switch strings.Count(raw, ".") {
	case 2:
	case 4:
		return compact{}, &Error{Reason: reason.Encrypted}
	default:
		return compact{}, &Error{Reason: reason.Opaque}
	}
	if strings.Contains(raw, "\r") || strings.Contains(raw, "\n") {
		return compact{}, malformed("form", errors.New("line break"))
	}
	header, rest, _ := strings.Cut(raw, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	c := compact{signed: raw[:len(header)+1+len(payload)], signature: signature}
	decoded := make([]byte, 0, base64url.DecodedLen(len(c.signed)))
	decoded, err := base64url.AppendDecode(decoded, []byte(header))
	if err != nil {
		return compact{}, malformed("header", err)
	}
	end := len(decoded)
	if decoded, err = base64url.AppendDecode(decoded, []byte(payload)); err != nil {
		return compact{}, malformed("payload", err)
	}
	text := string(decoded)
	c.header, c.payload = text[:end], text[end:]
	return c, nil
}

// decodeSignature returns the bytes of the signature.
func (c *compact) decodeSignature() ([]byte, error) {
	signature, err := base64url.DecodeString(c.signature)
	if err != nil {
		return nil, malformed("signature", err)
	}
	return signature, nil
}
