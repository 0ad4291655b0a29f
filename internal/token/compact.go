package token

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// compact is a JWS in compact serialization (RFC 7515 §7.1) with its parts decoded.
type compact struct {
	header    string // JSON
	payload   string // JSON
	bytes     []byte // the payload again, for those who decode it further
	signature []byte
	signed    string // the signing input: the first two parts as they came
}

// base64url is RFC 7515 §2: no padding, and by Strict no second spelling of the
// same bytes. Its decoder skips line breaks, which split refuses.
var base64url = base64.RawURLEncoding.Strict()

// split cuts raw, at most maxSize bytes, into its parts.
func split(raw string, maxSize int) (compact, error) {
	if len(raw) > maxSize {
		return compact{}, &Error{Reason: TooLarge, Got: fmt.Sprintf("%d bytes", len(raw)), Want: fmt.Sprintf("at most %d", maxSize)}
	}
	if strings.HasPrefix(raw, "{") {
		return compact{}, malformed("form", errors.New("JSON serialization, want the compact one"))
	}
	switch strings.Count(raw, ".") {
	case 2:
	case 4:
		return compact{}, &Error{Reason: Encrypted}
	default:
		return compact{}, &Error{Reason: Opaque}
	}
	if strings.ContainsAny(raw, "\r\n") {
		return compact{}, malformed("form", errors.New("line break"))
	}
	first, last := strings.IndexByte(raw, '.'), strings.LastIndexByte(raw, '.')
	return decode(raw[:first], raw[first+1:last], raw[last+1:], raw[:last])
}

func decode(header, payload, signature, signed string) (compact, error) {
	text := make([]byte, 0, base64url.DecodedLen(len(header))+base64url.DecodedLen(len(payload)))
	text, err := base64url.AppendDecode(text, []byte(header))
	if err != nil {
		return compact{}, malformed("header", err)
	}
	n := len(text)
	if text, err = base64url.AppendDecode(text, []byte(payload)); err != nil {
		return compact{}, malformed("payload", err)
	}
	sig, err := base64url.DecodeString(signature)
	if err != nil {
		return compact{}, malformed("signature", err)
	}
	// One copy serves every string that the token will hold.
	all := string(text)
	if !utf8.ValidString(all[:n]) || !utf8.ValidString(all[n:]) {
		return compact{}, malformed("form", errors.New("not UTF-8"))
	}
	return compact{header: all[:n], payload: all[n:], bytes: text[n:len(text):len(text)], signature: sig, signed: signed}, nil
}
