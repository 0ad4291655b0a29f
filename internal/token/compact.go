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
	var err error
	if c.header, err = decode(header); err != nil {
		return compact{}, malformed("header", err)
	}
	if c.payload, err = decode(payload); err != nil {
		return compact{}, malformed("payload", err)
	}
	return c, nil
}

// usualSize is the size in bytes of most headers and payloads. They are decoded on the
// stack, so that only the text that is kept is allocated.
const usualSize = 1 << 10

func decode(part string) (string, error) {
	var buffer [usualSize]byte
	text, err := base64url.AppendDecode(buffer[:0], []byte(part))
	return string(text), err
}

// decodeSignature returns the bytes of the signature.
func (c *compact) decodeSignature() ([]byte, error) {
	signature, err := base64url.DecodeString(c.signature)
	if err != nil {
		return nil, malformed("signature", err)
	}
	return signature, nil
}
