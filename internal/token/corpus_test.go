package token_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

// specimen is one token of the corpus: a valid token with one change.
type specimen struct {
	Name string
	Raw  string
	Want reason.Reason // empty if Verify must accept it
}

// collection gathers specimens of one theme.
type collection struct {
	theme string
	all   *[]specimen
}

func (c collection) add(want reason.Reason, name, raw string) {
	*c.all = append(*c.all, specimen{Name: c.theme + "/" + name, Raw: raw, Want: want})
}

// corpus returns every specimen. All are checked by strictVerifier.
var corpus = sync.OnceValue(func() []specimen {
	var all []specimen
	for _, theme := range []struct {
		name string
		fill func(collection)
	}{
		{"control", controls},
		{"shape", shapes},
		{"encoding", encodings},
		{"json", texts},
		{"member", members},
		{"header", headers},
		{"algorithm", algorithms},
		{"type", types},
		{"key", keyIDs},
		{"embedded key", embeddedKeys},
		{"kind", otherKinds},
		{"claim", claimTypes},
		{"issuer", issuers},
		{"audience", audiences},
		{"subject", subjects},
		{"number", numbers},
		{"signature", signatures},
	} {
		theme.fill(collection{theme.name, &all})
	}
	return all
})

const accepted reason.Reason = ""

func controls(c collection) {
	valid := validDraft()
	c.add(accepted, "valid", valid.sign())
	c.add(accepted, "PS256", valid.withHeader("alg", "PS256").sign())
	c.add(accepted, "ES256", valid.withHeader("alg", "ES256").withHeader("kid", "ec").sign())
	c.add(accepted, "EdDSA", valid.withHeader("alg", "EdDSA").withHeader("kid", "ed").sign())
	c.add(accepted, "application/at+jwt", valid.withHeader("typ", "application/at+jwt").sign())
	c.add(accepted, "audience list", valid.with("aud", []string{"https://a.example", resource}).sign())
	c.add(accepted, "no nbf", valid.with("nbf", nil).sign())
	c.add(accepted, "no scope", valid.with("scope", nil).sign())
	c.add(accepted, "unknown claims", claimsWith(`"org_id":"org_1","o":{"id":"org_1","rol":"admin"},"fva":[85,-1]`).sign())
	c.add(accepted, "fraction", valid.with("exp", raw("1795352400.25")).sign())
}

func shapes(c collection) {
	valid := validDraft().sign()
	header, payload, signature := cut(valid)
	for _, s := range []struct {
		want      reason.Reason
		name, raw string
	}{
		{reason.Opaque, "empty", ""},
		{reason.Opaque, "one dot", "."},
		{reason.Malformed, "two dots", ".."},
		{reason.Opaque, "three dots", "..."},
		{reason.Encrypted, "four dots", "...."},
		{reason.Opaque, "Clerk's opaque token", "oat_0ef5a7a33d87ed87ee7954c845d80450"},
		{reason.Opaque, "Clerk's API key", "ak_0ef5a7a33d87ed87ee7954c845d80450"},
		{reason.Opaque, "header", header},
		{reason.Opaque, "no signature", header + "." + payload},
		{reason.Malformed, "detached", header + ".." + signature},
		{reason.Malformed, "no header", "." + payload + "." + signature},
		{reason.BadSignature, "empty signature", header + "." + payload + "."},
		{reason.WrongAlgorithm, "claims for header", payload + "." + header + "." + signature},
		{reason.Opaque, "dot before", "." + valid},
		{reason.Opaque, "dot after", valid + "."},
		{reason.Encrypted, "twice", valid + valid},
		{reason.Opaque, "twice with a dot", valid + "." + valid},
		{reason.Encrypted, "JWE", encode(`{"alg":"RSA-OAEP","enc":"A256GCM"}`) + ".a2V5.aXY.dGV4dA.dGFn"},
		{reason.Encrypted, "JWE without a key", encode(`{"alg":"dir","enc":"A256GCM","iss":"https://a.example/"}`) + "..aXY.dGV4dA.dGFn"},
		{reason.Encrypted, "five parts", valid + ".aXY.dGFn"},
		{reason.Opaque, "six parts", valid + ".a.b.c"},
		{reason.Malformed, "flattened JSON", fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, header, payload, signature)},
		{reason.Malformed, "general JSON", fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, payload, header, signature)},
		{reason.Malformed, "JSON with two dots", `{"payload":"..","signatures":[]}`},
		{reason.Malformed, "in quotes", `"` + valid + `"`},
		{reason.Malformed, "with scheme", "Bearer " + valid},
		{reason.Malformed, "with comma", valid + ","},
		{reason.Malformed, "NUL after", valid + "\x00"},
		{reason.Malformed, "space before", " " + valid},
		{reason.Malformed, "space after", valid + " "},
		{reason.Malformed, "line break before", "\n" + valid},
		{reason.Malformed, "line break after", valid + "\n"},
		{reason.Opaque, "percent-encoded dots", strings.ReplaceAll(valid, ".", "%2E")},
		{reason.Opaque, "wide dots", strings.ReplaceAll(valid, ".", "．")},
		{reason.Malformed, "percent-encoded letter", "%65" + valid[1:]},
		{reason.Malformed, "tilde for the last dot's part", valid + "~"},
		{reason.TooLarge, "one byte too large", valid + strings.Repeat("A", token.DefaultMaxSize+1-len(valid))},
		{reason.TooLarge, "large signature", valid + strings.Repeat("A", 1<<20)},
		{reason.TooLarge, "large claim", validDraft().with("x", strings.Repeat("x", token.DefaultMaxSize)).sign()},
		{reason.TooLarge, "large opaque", strings.Repeat("a", 1<<20)},
		{reason.TooLarge, "dots", strings.Repeat(".", 1<<20)},
	} {
		c.add(s.want, s.name, s.raw)
	}
	c.add(accepted, "as large as allowed", largest())
}

// largest returns a valid token of exactly the largest accepted size.
func largest() string {
	for n := token.DefaultMaxSize * 3 / 4; ; n-- {
		raw := validDraft().with("x", strings.Repeat("x", n-1200)).sign()
		if len(raw) == token.DefaultMaxSize {
			return raw
		}
		if len(raw) < token.DefaultMaxSize {
			// Four characters hold three bytes: some lengths cannot be met by the claims alone.
			return validDraft().withHeader("x", "x").with("x", strings.Repeat("x", n-1200-3)).sign()
		}
	}
}

func cut(raw string) (header, payload, signature string) {
	parts := strings.Split(raw, ".")
	return parts[0], parts[1], parts[2]
}

// encodings makes the base64url of each part invalid in turn.
func encodings(c collection) {
	// With the spaces in the JSON, the last character of each part has unused bits.
	d := validDraft()
	d.headerText, d.claimsText = d.headerJSON(), d.claimsJSON()
	for len(d.headerText)%3 != 1 {
		d.headerText += " "
	}
	for len(d.claimsText)%3 != 1 {
		d.claimsText += " "
	}
	valid := d.sign()
	c.add(accepted, "with unused bits", valid)
	parts := strings.Split(valid, ".")
	for i, part := range []string{"header", "payload", "signature"} {
		spoil := func(want reason.Reason, name, text string) {
			spoiled := slices.Clone(parts)
			spoiled[i] = text
			c.add(want, part+" "+name, strings.Join(spoiled, "."))
		}
		text := parts[i]
		half := len(text) / 2
		spoil(reason.Malformed, "padded", text+"==")
		spoil(reason.Malformed, "padded once", text+"=")
		spoil(reason.Malformed, "with plus", text[:half]+"+"+text[half+1:])
		spoil(reason.Malformed, "with slash", text[:half]+"/"+text[half+1:])
		spoil(reason.Malformed, "line break within", text[:half]+"\n"+text[half:])
		spoil(reason.Malformed, "carriage return within", text[:half]+"\r"+text[half:])
		spoil(reason.Malformed, "network line break at the end", text+"\r\n")
		spoil(reason.Malformed, "space within", text[:half]+" "+text[half:])
		spoil(reason.Malformed, "tab at the start", "\t"+text)
		spoil(reason.Malformed, "NUL within", text[:half]+"\x00"+text[half:])
		spoil(reason.Malformed, "accented letter", text[:half]+"é"+text[half:])
		spoil(reason.Malformed, "zero-width space", text[:half]+"\u200b"+text[half:])
		spoil(reason.Malformed, "wide letter", text[:half]+"Ａ"+text[half+1:])
		spoil(reason.Malformed, "unused bits set", text[:len(text)-1]+nextLetter(text[len(text)-1]))
		spoil(reason.Malformed, "one letter short", text[:len(text)-1])
		spoil(reason.Malformed, "standard alphabet and padding", strings.NewReplacer("-", "+", "_", "/").Replace(text)+"==")
		if part != "signature" {
			spoil(reason.Malformed, "encoded twice", encode(text))
			spoil(reason.Malformed, "four letters short", text[:len(text)-6])
			spoil(reason.Malformed, "as hex", fmt.Sprintf("%x", text))
		}
	}
}

// nextLetter returns the base64url letter that differs from c in the lowest bit.
func nextLetter(c byte) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(letters[strings.IndexByte(letters, c)^1])
}

// texts are headers and claims that are not one JSON object in UTF-8. Each is signed.
func texts(c collection) {
	valid := validDraft()
	for _, part := range []struct {
		name  string
		text  string
		draft func(string) draft
	}{
		{"header", valid.headerJSON(), func(s string) draft { d := valid; d.headerText = s; return d }},
		{"claims", valid.claimsJSON(), func(s string) draft { d := valid; d.claimsText = s; return d }},
	} {
		open := strings.TrimSuffix(part.text, "}")
		for name, text := range map[string]string{
			"array":                   "[" + part.text + "]",
			"empty array":             "[]",
			"string":                  `"` + "x" + `"`,
			"number":                  "1",
			"true":                    "true",
			"null":                    "null",
			"spaces":                  "   ",
			"brace":                   "{",
			"nothing after":           open,
			"comma at the end":        open + ",}",
			"comma at the start":      "{," + part.text[1:],
			"two commas":              strings.Replace(part.text, ",", ",,", 1),
			"no comma":                strings.Replace(part.text, `","`, `" "`, 1),
			"no colon":                strings.Replace(part.text, ":", " ", 1),
			"no value":                open + `,"x":}`,
			"no name":                 open + `,:1}`,
			"number for a name":       open + `,1:1}`,
			"bare name":               open + `,x:1}`,
			"single quotes":           open + `,'x':1}`,
			"two objects":             part.text + part.text,
			"object and bracket":      part.text + "}",
			"object and word":         part.text + " x",
			"object and NUL":          part.text + "\x00",
			"comment before":          "/* */" + part.text,
			"comment within":          open + `/* */}`,
			"line comment":            part.text + "// x",
			"byte order mark":         "\ufeff" + part.text,
			"no-break space":          "\u00a0" + part.text,
			"UTF-16":                  utf16(part.text),
			"invalid UTF-8":           open + ",\"x\":\"\xff\"}",
			"overlong UTF-8":          open + ",\"x\":\"\xc0\x80\"}",
			"surrogate in UTF-8":      open + ",\"x\":\"\xed\xa0\x80\"}",
			"cut UTF-8":               open + ",\"x\":\"\xe2\x82\"}",
			"invalid UTF-8 in a name": open + ",\"\xff\":1}",
			"line break in a string":  open + ",\"x\":\"\n\"}",
			"NUL in a string":         open + ",\"x\":\"\x00\"}",
			"string without an end":   open + `,"x":"`,
			"unknown escape":          open + `,"x":"\x41"}`,
			"short escape":            open + `,"x":"\u41"}`,
			"escape at the end":       open + `,"x":"\`,
			"bare word":               open + `,"x":maybe}`,
			"capital word":            open + `,"x":True}`,
			"undefined":               open + `,"x":undefined}`,
			"NaN":                     open + `,"x":NaN}`,
			"infinity":                open + `,"x":-Infinity}`,
			"hexadecimal":             open + `,"x":0x10}`,
			"leading zero":            open + `,"x":01}`,
			"leading plus":            open + `,"x":+1}`,
			"leading dot":             open + `,"x":.5}`,
			"trailing dot":            open + `,"x":1.}`,
			"bare exponent":           open + `,"x":1e}`,
			"bare minus":              open + `,"x":-}`,
			"number too large":        open + `,"x":1e400}`,
			"number with many digits": open + `,"x":[` + strings.Repeat("9", 400) + `]}`,
			"digit groups":            open + `,"x":1_000}`,
			"array without an end":    open + `,"x":[1}`,
			"array with two commas":   open + `,"x":[1,,2]}`,
			"object without an end":   open + `,"x":{"y":1`,
			"too deep":                open + `,"x":` + nested(32) + `}`,
			"very deep":               open + `,"x":` + nested(3000) + `}`,
			"deep objects":            open + `,"x":` + strings.Repeat(`{"x":`, 1000) + `1` + strings.Repeat("}", 1000) + `}`,
			"deep without an end":     open + `,"x":` + strings.Repeat("[", 9000) + `}`,
			"too many members":        open + manyMembers(129) + "}",
			"very many members":       open + manyMembers(900) + "}",
		} {
			c.add(reason.Malformed, part.name+" "+name, part.draft(text).sign())
		}
	}
	for name, d := range map[string]draft{
		"half a pair in sub":    validDraft().with("sub", raw(`"user_\ud83d"`)),
		"half a pair in jti":    validDraft().with("jti", raw(`"\udc00\ud800"`)),
		"half a pair in aud":    validDraft().with("aud", raw(`["`+resource+`","\ud83d"]`)),
		"half a pair in a name": claimsWith(`"\ud83d":1`),
		"half a pair elsewhere": claimsWith(`"name":"\ud83d"`),
		"twice in a claim":      claimsWith(`"o":{"id":"org_1","id":"org_2"}`),
		"half a pair in typ":    validDraft().withHeader("typ", raw(`"at+jwt\ud83d"`)),
	} {
		c.add(reason.Malformed, name, d.sign())
	}
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"x%d":1`, i)
	}
	return b.String()
}

func utf16(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteByte(0)
		b.WriteByte(c)
	}
	return b.String()
}

// members are tokens that two readers could read as two different tokens.
func members(c collection) {
	valid := validDraft()
	for name := range valid.header {
		doubles(c, "header "+name, valid.header, name, headerWith, func(text string) draft {
			d := valid
			d.headerText = text
			return d
		})
	}
	for name := range valid.claims {
		doubles(c, "claim "+name, valid.claims, name, claimsWith, func(text string) draft {
			d := valid
			d.claimsText = text
			return d
		})
	}
	for name, d := range map[string]draft{
		"azp twin":               claimsWith(`"AZP":"x"`),
		"scp twin":               claimsWith(`"Scp":"x"`),
		"cnf twin":               claimsWith(`"CNF":{"jkt":"x"}`),
		"cnf escaped":            claimsWith(`"\u0063nf":{"jkt":"x"}`),
		"cnf twice":              claimsWith(`"cnf":1,"cnf":2`),
		"long s in iss":          claimsWith(`"iſſ":"https://evil.example"`),
		"long s in sub":          claimsWith(`"ſub":"user_2"`),
		"long s in scope":        claimsWith(`"ſcope":"admin"`),
		"escaped long s in sub":  claimsWith(`"\u017fub":"user_2"`),
		"Kelvin sign in kid":     headerWith(`"Kid":"ec"`),
		"crit twin":              headerWith(`"CRIT":["x"]`),
		"b64 twin":               headerWith(`"B64":false`),
		"b64 escaped":            headerWith(`"\u0062\u0036\u0034":false`),
		"cat twin":               headerWith(`"Cat":"cl_B7d4PD111AAA"`),
		"cat escaped":            headerWith(`"\u0063at":"cl_B7d4PD111AAA"`),
		"cat twice":              headerWith(`"cat":"x","cat":"cl_B7d4PD111AAA"`),
		"unknown claim twice":    claimsWith(`"x":1,"x":1`),
		"unknown claim, escaped": claimsWith(`"x":1,"\u0078":2`),
		"empty name twice":       claimsWith(`"":1,"":2`),
		"unknown header twice":   headerWith(`"x":1,"x":1`),
	} {
		c.add(reason.Malformed, name, d.sign())
	}
}

// doubles adds tokens in which the member appears twice, or is spelled differently.
func doubles(c collection, label string, object map[string]any, name string, with func(string) draft, as func(string) draft) {
	member := func(name string, v any) string { return fmt.Sprintf("%q:%s", name, must(json.Marshal(v))) }
	value, all := object[name], string(must(json.Marshal(object)))
	escaped := fmt.Sprintf(`\u%04x`, name[0]) + name[1:]
	sign := func(d draft) string { d.method, d.key = "RS256", signingKeys()["rsa"]; return d.sign() }
	c.add(reason.Malformed, label+" twice", sign(with(member(name, value))))
	c.add(reason.Malformed, label+" twice, null first", sign(as("{"+member(name, null)+","+all[1:])))
	c.add(reason.Malformed, label+" twice, other value", sign(with(member(name, "x"))))
	c.add(reason.Malformed, label+" and in capitals", sign(with(member(strings.ToUpper(name), value))))
	c.add(reason.Malformed, label+" and as a title", sign(with(member(strings.ToUpper(name[:1])+name[1:], "x"))))
	c.add(reason.Malformed, label+" and escaped", sign(with(`"`+escaped+`":"x"`)))
	c.add(reason.Malformed, label+" in capitals only", sign(as(strings.Replace(all, `"`+name+`":`, `"`+strings.ToUpper(name)+`":`, 1))))
	c.add(reason.Malformed, label+" escaped only", sign(as(strings.Replace(all, `"`+name+`":`, `"`+escaped+`":`, 1))))
}

// headers are tokens with header parameters of wrong types, and with critical ones.
func headers(c collection) {
	valid := validDraft()
	sign := func(d draft) string { d.method, d.key = "RS256", signingKeys()["rsa"]; return d.sign() }
	for _, name := range []string{"alg", "typ", "kid", "cat"} {
		for _, v := range []string{"null", "5", "true", "[]", `["RS256"]`, "{}"} {
			c.add(reason.Malformed, name+" "+v, sign(valid.withHeader(name, raw(v))))
		}
	}
	for _, v := range []string{`["exp"]`, `["b64"]`, `["alg"]`, `["https://example.com/x"]`, "[]", "null", `"exp"`, "5"} {
		c.add(reason.CriticalHeader, "crit "+v, sign(valid.withHeader("crit", raw(v))))
	}
	for _, v := range []string{"false", "true", "null", `"false"`} {
		c.add(reason.CriticalHeader, "b64 "+v, sign(valid.withHeader("b64", raw(v))))
	}
	unencoded := valid.withHeader("b64", false).withHeader("crit", []string{"b64"})
	unencoded.method, unencoded.key = "RS256", signingKeys()["rsa"]
	input := encode(unencoded.headerJSON()) + "." + unencoded.claimsJSON()
	c.add(reason.Malformed, "payload not encoded", strings.ReplaceAll(input, ".", "")+"."+encode("x")+"."+encode(unencoded.signature(input)))
	c.add(reason.WrongAlgorithm, "empty", func() string { d := valid; d.headerText = "{}"; return sign(d) }())
	c.add(reason.Malformed, "nested token", func() string {
		d := valid.withHeader("cty", "JWT")
		d.claimsText = valid.sign()
		return d.sign()
	}())
	c.add(accepted, "cty", sign(valid.withHeader("cty", "JWT")))
	c.add(accepted, "unknown parameter", sign(valid.withHeader("x", map[string]any{"y": []int{1}})))
	c.add(accepted, "unknown category", sign(valid.withHeader("cat", "cl_I7d4PD111III")))
}

func algorithms(c collection) {
	valid := validDraft()
	as := func(alg string) draft { d := valid.withHeader("alg", alg); d.method = "RS256"; return d }
	for bits := range 16 {
		none := []byte("none")
		for i := range none {
			if bits>>i&1 == 1 {
				none[i] -= 'a' - 'A'
			}
		}
		header, payload, signature := cut(as(string(none)).sign())
		c.add(reason.WrongAlgorithm, string(none), header+"."+payload+".")
		c.add(reason.WrongAlgorithm, string(none)+" with a signature", header+"."+payload+"."+signature)
	}
	for _, alg := range []string{
		"", "RS384", "RS512", "PS384", "PS512", "ES384", "ES512", "ES256K", "Ed448", "EdDSA25519", "ML-DSA-44",
		"RS1", "RS256 ", " RS256", "RS256\x00", "RS256\n", "RS256,HS256", "rs256", "Rs256", "RSA256", "RSASSA", "SHA256withRSA",
		"RSA-OAEP", "RSA1_5", "dir", "A128KW", "*", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
	} {
		c.add(reason.WrongAlgorithm, fmt.Sprintf("%q", alg), as(alg).sign())
	}
	c.add(reason.WrongAlgorithm, "missing", func() string {
		d := valid.withHeader("alg", nil)
		d.method = "RS256"
		return d.sign()
	}())
	ed25519 := valid.withHeader("alg", "Ed25519").withHeader("kid", "ed") // the newer name of EdDSA (RFC 9864)
	ed25519.method = "EdDSA"
	c.add(accepted, "Ed25519", ed25519.sign())
	c.add(reason.BadSignature, "Ed25519 by another key", ed25519.signedBy("ed-0"))
	c.add(reason.WrongAlgorithm, "Ed25519 under key rsa", ed25519.withHeader("kid", "rsa").signedBy("ed"))
	c.add(reason.WrongAlgorithm, "Ed25519 in another case", ed25519.withHeader("alg", "ed25519").sign())
	hmacConfusion(c)
	for _, mix := range []struct{ alg, claimedKey, key string }{
		{"ES256", "rsa", "ec"}, {"EdDSA", "rsa", "ed"}, {"RS256", "ec", "rsa"}, {"RS256", "ed", "rsa"}, {"PS256", "ec", "rsa"},
		{"PS256", "ed", "rsa"}, {"ES256", "ed", "ec"}, {"EdDSA", "ec", "ed"}, {"ES256", "p384", "ec"}, {"RS256", "weak", "rsa"},
	} {
		d := valid.withHeader("alg", mix.alg).withHeader("kid", mix.claimedKey)
		c.add(reason.WrongAlgorithm, mix.alg+" under key "+mix.claimedKey, d.signedBy(mix.key))
	}
	for _, mix := range []struct{ alg, method string }{
		{"RS256", "PS256"}, {"PS256", "RS256"}, {"RS256", "RS384"}, {"RS256", "RS512"}, {"PS256", "PS384"}, {"PS256", "PS512"},
	} {
		d := valid.withHeader("alg", mix.alg)
		d.method = mix.method
		c.add(reason.BadSignature, mix.alg+" signed with "+mix.method, d.sign())
	}
}

// hmacConfusion signs with the public key as if it were a secret (RFC 8725 §2.1).
func hmacConfusion(c collection) {
	public := signingKeys()["rsa"].Public()
	der := must(x509.MarshalPKIXPublicKey(public))
	armoured := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	for name, secret := range map[string][]byte{
		"DER":                    der,
		"PEM":                    armoured,
		"PEM without line break": []byte(strings.TrimSpace(string(armoured))),
		"modulus":                modulus("rsa"),
		"nothing":                {},
	} {
		for _, alg := range []string{"HS256", "HS384", "HS512"} {
			d := validDraft().withHeader("alg", alg)
			d.key = secret
			c.add(reason.WrongAlgorithm, alg+" with the public key's "+name, d.sign())
		}
		d := validDraft()
		d.method, d.key = "HS256", secret
		c.add(reason.BadSignature, "HS256 called RS256 with the public key's "+name, d.sign())
	}
}

func modulus(kid string) []byte { return signingKeys()[kid].Public().(*rsa.PublicKey).N.Bytes() }

func types(c collection) {
	for _, typ := range []string{
		"", "JWT", "jwt", "JWS", "JOSE", "JOSE+JSON", "application/jwt", "at", "at jwt", "at%2Bjwt", "at-jwt", "atjwt", "at+jws", "at+jwt+x",
		"at+jwt ", " at+jwt", "at+jwt;charset=utf-8", "xat+jwt", "at+jwtx", "text/at+jwt", "application/x/at+jwt", "application/",
		"application/application/at+jwt", "at+jwt\x00", "аt+jwt",
		"id+jwt", "rt+jwt", "dpop+jwt", "logout+jwt", "secevent+jwt", "oauth-id-jag+jwt", "oauth-authz-req+jwt", "kb+jwt", "sd+jwt",
		"client-authentication+jwt", "token-introspection+jwt", "entity-statement+jwt",
	} {
		c.add(reason.WrongType, fmt.Sprintf("%q", typ), validDraft().withHeader("typ", typ).sign())
	}
	c.add(reason.WrongType, "missing", validDraft().withHeader("typ", nil).sign())
}

func keyIDs(c collection) {
	valid := validDraft()
	for _, kid := range []string{
		"RSA", "rsa ", " rsa", "rsa\x00", "rsa\n", "stranger", "0", "*", "null", "../../../dev/null", "/dev/null", "file:///dev/null",
		"https://evil.example/key", "' OR '1'='1", "rsa' UNION SELECT 'x", "; cat /etc/passwd", "${jndi:ldap://evil.example}", "rsа", strings.Repeat("k", 256),
	} {
		c.add(reason.UnknownKey, fmt.Sprintf("%.40q", kid), valid.withHeader("kid", kid).signedBy("rsa"))
	}
	nameless := valid.withHeader("kid", nil)
	c.add(accepted, "missing", nameless.signedBy("rsa"))
	c.add(accepted, "missing, PS256", nameless.withHeader("alg", "PS256").signedBy("rsa"))
	c.add(accepted, "missing, ES256", nameless.withHeader("alg", "ES256").signedBy("ec"))
	c.add(accepted, "empty", valid.withHeader("kid", "").signedBy("rsa"))
	c.add(reason.Malformed, "null", valid.withHeader("kid", null).signedBy("rsa"))
	c.add(reason.BadSignature, "missing, by a stranger", nameless.signedBy("stranger"))
	c.add(reason.BadSignature, "missing, by a weak key", nameless.signedBy("weak"))
	c.add(reason.MissingKeyID, "missing, and many keys fit", nameless.withHeader("alg", "EdDSA").signedBy("ed"))
	c.add(reason.MissingKeyID, "empty, and many keys fit", valid.withHeader("kid", "").withHeader("alg", "EdDSA").signedBy("ed"))
	c.add(reason.Malformed, "too long", valid.withHeader("kid", strings.Repeat("k", 257)).signedBy("rsa"))
	c.add(reason.Malformed, "very long", valid.withHeader("kid", strings.Repeat("k", 10000)).signedBy("rsa"))
}

// embeddedKeys are tokens with a verification key in their header (RFC 8725 §3.10).
func embeddedKeys(c collection) {
	valid := validDraft()
	stranger := signingKeys()["stranger"]
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	certificate := must(x509.CreateCertificate(rand.Reader, template, template, stranger.Public(), stranger))
	jwk := map[string]any{"kty": "RSA", "kid": "rsa", "n": encode(string(modulus("stranger"))), "e": "AQAB"}
	for name, v := range map[string]any{
		"jwk":      jwk,
		"jku":      "https://evil.example/jwks.json",
		"x5u":      "https://evil.example/cert.pem",
		"x5c":      []string{base64.StdEncoding.EncodeToString(certificate)},
		"x5t":      "AAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"x5t#S256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	} {
		d := valid.withHeader(name, v)
		c.add(reason.BadSignature, name, d.signedBy("stranger"))
		c.add(reason.UnknownKey, name+" under another name", d.withHeader("kid", "stranger").sign())
		c.add(reason.BadSignature, name+" without a name", d.withHeader("kid", nil).signedBy("stranger"))
		c.add(accepted, name+" ignored", d.sign())
	}
}

// otherKinds are tokens of other kinds by the same issuer and key, and tokens of
// other issuers.
func otherKinds(c collection) {
	base := validDraft().withHeader("typ", "JWT")
	for name, d := range map[string]draft{
		"ID token":                       base.with("aud", "dGd3hVEbAbMZNBbK").with("nonce", "n").with("scope", nil),
		"ID token with our audience":     base.with("nonce", "n"),
		"session token":                  base.withHeader("cat", "cl_B7d4PD111AAA").with("sid", "sess_1").with("client_id", nil),
		"template token":                 base.withHeader("cat", "cl_B7d4PD222AAA"),
		"M2M token":                      base.withHeader("cat", "cl_B7d4PD333AAA").with("sub", "mch_1"),
		"handshake":                      base.with("handshake", []string{"a"}),
		"session token that says at+jwt": base.withHeader("cat", "cl_B7d4PD111AAA").withHeader("typ", "at+jwt"),
		"M2M token that says at+jwt":     base.withHeader("cat", "cl_B7d4PD333AAA").withHeader("typ", "at+jwt"),
		"logout token":                   base.withHeader("typ", "logout+jwt").with("events", map[string]any{}),
		"DPoP proof":                     base.withHeader("typ", "dpop+jwt").with("htm", "POST"),
		"identity assertion":             base.withHeader("typ", "oauth-id-jag+jwt"),
		"client assertion":               base.withHeader("typ", "client-authentication+jwt"),
		"signed userinfo":                base.with("email", "a@example.com"),
		"security event":                 base.withHeader("typ", "secevent+jwt"),
	} {
		c.add(reason.WrongType, name, d.sign())
	}
	for _, other := range []string{"https://other-noun-7.clerk.accounts.dev", "https://accounts.example.com", "https://example.eu.auth0.com/"} {
		c.add(reason.WrongIssuer, "of "+other, validDraft().with("iss", other).sign())
		c.add(reason.WrongIssuer, "of "+other+" by its own key", validDraft().with("iss", other).withHeader("kid", "other").signedBy("stranger"))
	}
	c.add(reason.WrongSubject, "machine's access token", validDraft().with("sub", "mch_1").sign())
	c.add(reason.WrongSubject, "client's access token", validDraft().with("sub", "dGd3hVEbAbMZNBbK").sign())
}

// claimTypes are tokens in which a claim has a value of a wrong type.
func claimTypes(c collection) {
	valid := validDraft()
	missing := map[string]reason.Reason{
		"iss": reason.MissingClaim, "sub": reason.MissingClaim, "exp": reason.MissingClaim,
		"client_id": reason.MissingClaim, "iat": reason.MissingClaim, "jti": reason.MissingClaim,
	}
	for _, name := range []string{"iss", "sub", "exp", "client_id", "iat", "jti", "nbf", "azp", "scope", "scp"} {
		c.add(missing[name], name+" missing", valid.with(name, nil).sign())
		if slices.Contains([]string{"client_id", "azp", "scope", "scp"}, name) {
			c.add(missing[name], name+" null", valid.with(name, null).sign())
		} else {
			c.add(reason.Malformed, name+" null", valid.with(name, null).sign())
		}
		for _, v := range []string{"true", "false", "{}", `{"x":1}`, "[1]", "[null]", `[["x"]]`} {
			c.add(reason.Malformed, name+" "+v, valid.with(name, raw(v)).sign())
		}
	}
	for _, name := range []string{"iss", "sub", "client_id", "jti"} {
		c.add(reason.MissingClaim, name+" empty", valid.with(name, "").sign())
		c.add(reason.Malformed, name+" number", valid.with(name, 5).sign())
		c.add(reason.Malformed, name+" list", valid.with(name, []any{valid.claims[name]}).sign())
		c.add(reason.Malformed, name+" empty list", valid.with(name, []any{}).sign())
	}
	for _, name := range []string{"azp", "scope", "scp"} {
		c.add(reason.Malformed, name+" number", valid.with(name, 5).sign())
	}
	for _, v := range []string{"null", "5", "true", "{}", "[1]", "[null]", "[[]]", `[["` + resource + `"]]`, `["` + resource + `",1]`, `{"` + resource + `":1}`} {
		c.add(reason.Malformed, "aud "+v, valid.with("aud", raw(v)).sign())
	}
	for _, v := range []string{`{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`, `{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`,
		`{"jwk":{}}`, "{}", "null", `"x"`, "false"} {
		c.add(reason.SenderConstrained, "cnf "+v, valid.with("cnf", raw(v)).sign())
	}
}

func issuers(c collection) {
	for _, iss := range []string{
		issuer + "/", issuer + " ", " " + issuer, issuer + "\x00", issuer + "#", issuer + "?", issuer + "/oauth", issuer + ":443", issuer + ".evil.example",
		"http://verb-noun-42.clerk.accounts.dev", "HTTPS://verb-noun-42.clerk.accounts.dev", "https://VERB-NOUN-42.clerk.accounts.dev",
		"https://verb-noun-42.clerk.accounts.dev@evil.example", "https://evil.example/" + issuer, "https://clerk.evil.example",
		"verb-noun-42.clerk.accounts.dev", "https://verb-noun-42%2Eclerk.accounts.dev", "https://verb‐noun‐42.clerk.accounts.dev", "https://xn--verb-noun-42.clerk.accounts.dev", "*", "null",
	} {
		c.add(reason.WrongIssuer, fmt.Sprintf("%q", iss), validDraft().with("iss", iss).sign())
	}
}

func audiences(c collection) {
	others := []string{
		resource + "/", resource + "2", resource + "/x", resource + " ", " " + resource, resource + "\x00", resource + "?x=1", resource + "#x",
		"https://mcp.example.com", "https://mcp.example.com/", "https://mcp.example.com/mc", "https://mcp.example.com:443/mcp", "http://mcp.example.com/mcp",
		"HTTPS://mcp.example.com/mcp", "https://MCP.example.com/mcp", "https://mcp.example.com/MCP", "https://mcp.example.com/%6Dcp", "https://mcp.example.com//mcp",
		"https://mcp.example.com/./mcp", "https://mcp.example.com.evil.example/mcp", "https://evil.example/mcp", "https://evil.example/?" + resource,
		"mcp.example.com/mcp", "dGd3hVEbAbMZNBbK", "*", "", resource + "," + resource, resource + " https://a.example",
	}
	for _, aud := range others {
		c.add(reason.WrongAudience, fmt.Sprintf("%q", aud), validDraft().with("aud", aud).sign())
	}
	c.add(reason.WrongAudience, "many others", validDraft().with("aud", others).sign())
	c.add(reason.WrongAudience, "empty list", validDraft().with("aud", []string{}).sign())
	c.add(reason.WrongAudience, "list of nothing", validDraft().with("aud", []string{""}).sign())
	c.add(reason.Unbound, "missing", validDraft().with("aud", nil).sign())
	c.add(reason.Unbound, "in resource", validDraft().with("aud", nil).with("resource", resource).sign())
	c.add(accepted, "among others", validDraft().with("aud", append(others, resource)).sign())
}

func subjects(c collection) {
	for _, sub := range []string{"user_", "USER_x", "user-x", "mch_1", " user_x", "xuser_x", "user", "\x00user_x", "org_1", "uѕer_x"} {
		c.add(reason.WrongSubject, fmt.Sprintf("%q", sub), validDraft().with("sub", sub).sign())
	}
}

func numbers(c collection) {
	valid := validDraft()
	for _, n := range []string{
		"-1", "-1795352400", "1e400", "-1e400", "1e99", "253402300800", "1795352400000", "1795352400000000000", "18446744073709551616", "1e308",
		"9" + strings.Repeat("0", 40), "1795352400." + strings.Repeat("0", 40), `"1795352400"`, `"2026-11-22T13:00:00Z"`, `""`, "[1795352400]", `{"s":1795352400}`,
	} {
		for _, name := range []string{"exp", "nbf", "iat"} {
			c.add(reason.Malformed, name+" "+n, valid.with(name, raw(n)).sign())
		}
	}
	for _, n := range []string{"0", "-0", "0.0", "0e9", "1", "0.5", "1e-9", "1795348769", "1.795348769e9", "1795348769.999", "1e9"} {
		c.add(reason.Expired, n, valid.with("exp", raw(n)).sign())
	}
	for _, name := range []string{"nbf", "iat"} {
		for _, n := range []string{"1795348831", "1.795348831e9", "1795348831.5", "1795352400", "253402300799", "9e9"} {
			c.add(reason.NotYetValid, name+" "+n, valid.with(name, raw(n)).sign())
		}
		c.add(accepted, name+" within the leeway", valid.with(name, raw("1795348830")).sign())
		c.add(accepted, name+" 0", valid.with(name, raw("0")).sign())
	}
	c.add(accepted, "exp within the leeway", valid.with("exp", raw("1795348771")).sign())
	c.add(accepted, "exp in the year 9999", valid.with("exp", raw("253402300799")).sign())
}

func signatures(c collection) {
	for _, kind := range []struct{ alg, kid string }{{"RS256", "rsa"}, {"PS256", "rsa"}, {"ES256", "ec"}, {"EdDSA", "ed"}} {
		valid := validDraft().withHeader("alg", kind.alg).withHeader("kid", kind.kid)
		header, payload, signature := cut(valid.sign())
		spoil := func(name string, edit func([]byte) []byte) {
			bytes := must(base64.RawURLEncoding.DecodeString(signature))
			c.add(reason.BadSignature, kind.alg+" "+name, header+"."+payload+"."+encode(string(edit(bytes))))
		}
		spoil("first bit", func(s []byte) []byte { s[0] ^= 0x80; return s })
		spoil("last bit", func(s []byte) []byte { s[len(s)-1] ^= 1; return s })
		spoil("middle bit", func(s []byte) []byte { s[len(s)/2] ^= 0x10; return s })
		spoil("zeros", func(s []byte) []byte { return make([]byte, len(s)) })
		spoil("ones", func(s []byte) []byte { return []byte(strings.Repeat("\xff", len(s))) })
		spoil("a zero before", func(s []byte) []byte { return append([]byte{0}, s...) })
		spoil("a zero after", func(s []byte) []byte { return append(s, 0) })
		spoil("first byte cut", func(s []byte) []byte { return s[1:] })
		spoil("last byte cut", func(s []byte) []byte { return s[:len(s)-1] })
		spoil("one byte", func(s []byte) []byte { return s[:1] })
		spoil("twice", func(s []byte) []byte { return append(s, s...) })
		spoil("reversed", func(s []byte) []byte { slices.Reverse(s); return s })
		spoil("too long for any key", func(s []byte) []byte { return make([]byte, 1025) })
		other := valid.with("sub", "user_2").sign()
		otherHeader, otherPayload, otherSignature := cut(other)
		c.add(reason.BadSignature, kind.alg+" of another token", header+"."+payload+"."+otherSignature)
		c.add(reason.BadSignature, kind.alg+" with another payload", otherHeader+"."+otherPayload+"."+signature)
		reordered := valid
		reordered.headerText = strings.Replace(valid.headerJSON(), `{`, `{ `, 1)
		c.add(reason.BadSignature, kind.alg+" with a space in the header", encode(reordered.headerJSON())+"."+payload+"."+signature)
	}
	c.add(reason.BadSignature, "RS256 by a stranger", validDraft().signedBy("stranger"))
	saltLengths(c)
	ecdsaEncodings(c)
}

// saltLengths signs with salts of other lengths than that of the hash (RFC 7518 §3.5).
func saltLengths(c collection) {
	for length, want := range map[int]reason.Reason{8: reason.BadSignature, 20: reason.BadSignature, 32: accepted, 64: reason.BadSignature} {
		d := validDraft().withHeader("alg", "PS256")
		input := encode(d.headerJSON()) + "." + encode(d.claimsJSON())
		digest := sha256.Sum256([]byte(input))
		options := &rsa.PSSOptions{SaltLength: length, Hash: crypto.SHA256}
		signature := must(signingKeys()["rsa"].Sign(rand.Reader, digest[:], options))
		c.add(want, fmt.Sprintf("PS256 with a salt of %d bytes", length), input+"."+encode(string(signature)))
	}
}

// ecdsaEncodings are signatures in forms that RFC 7518 §3.4 does not allow.
func ecdsaEncodings(c collection) {
	d := validDraft().withHeader("alg", "ES256").withHeader("kid", "ec")
	header, payload, signature := cut(d.sign())
	bytes := must(base64.RawURLEncoding.DecodeString(signature))
	r, s := new(big.Int).SetBytes(bytes[:32]), new(big.Int).SetBytes(bytes[32:])
	order := signingKeys()["ec"].Public().(*ecdsa.PublicKey).Params().N
	zero := new(big.Int)
	pair := func(want reason.Reason, name string, r, s *big.Int) {
		text := string(r.FillBytes(make([]byte, 32))) + string(s.FillBytes(make([]byte, 32)))
		c.add(want, "ES256 "+name, header+"."+payload+"."+encode(text))
	}
	pair(accepted, "as it was", r, s)
	pair(reason.BadSignature, "r zero", zero, s)
	pair(reason.BadSignature, "s zero", r, zero)
	pair(reason.BadSignature, "both zero", zero, zero)
	pair(reason.BadSignature, "r the order", order, s)
	pair(reason.BadSignature, "s the order", r, order)
	pair(reason.BadSignature, "both the order", order, order)
	pair(reason.BadSignature, "r one", big.NewInt(1), s)
	pair(reason.BadSignature, "swapped", s, r)
	c.add(reason.BadSignature, "ES256 in DER", header+"."+payload+"."+encode(string(must(asn1.Marshal([]*big.Int{r, s})))))
	wide := string(r.FillBytes(make([]byte, 48))) + string(s.FillBytes(make([]byte, 48)))
	c.add(reason.BadSignature, "ES256 as wide as P-384", header+"."+payload+"."+encode(wide))
}

// beforeKeys are the reasons with which no key may be looked up.
var beforeKeys = []reason.Reason{
	reason.TooLarge, reason.Opaque, reason.Encrypted, reason.Malformed, reason.CriticalHeader, reason.WrongType, reason.WrongIssuer,
}

var corpusFile = flag.String("corpus", "", "write the corpus and its keys to this file, as JSON")

func TestCorpus(t *testing.T) {
	t.Parallel()
	v := strictVerifier()
	if err := v.Validate(); err != nil {
		t.Fatal(err)
	}
	names, reasons := map[string]bool{}, map[reason.Reason]int{}
	for _, s := range corpus() {
		if names[s.Name] {
			t.Errorf("two specimens are called %q", s.Name)
		}
		names[s.Name] = true
		reasons[s.Want]++
		lookUps := 0
		keys := keyFunc(func(ctx context.Context, kid, alg string, tried uint64) ([]crypto.PublicKey, uint64, error) {
			lookUps++
			return published(ctx, kid, alg, tried)
		})
		_, err := v.Verify(context.Background(), s.Raw, keys, now)
		if s.Want == accepted && err != nil {
			t.Errorf("%s: %v, want it accepted", s.Name, err)
		}
		if s.Want != accepted && reasonOf(err) != s.Want {
			t.Errorf("%s: %v, want reason %q", s.Name, err, s.Want)
		}
		if lookUps > 0 && slices.Contains(beforeKeys, s.Want) {
			t.Errorf("%s: %d key look-ups, want none", s.Name, lookUps)
		}
		checkText(t, s, err)
	}
	for _, want := range tokenReasons() {
		if reasons[want] == 0 {
			t.Errorf("no specimen for reason %q", want)
		}
	}
	t.Logf("%d hostile tokens and %d valid ones: %v", len(names)-reasons[accepted], reasons[accepted], reasons)
	if *corpusFile != "" {
		writeCorpus(t, *corpusFile)
	}
}

// checkText checks that the text of a rejection is one line without parts of the token.
func checkText(t *testing.T, s specimen, err error) {
	t.Helper()
	var rejection *token.Error
	if !errors.As(err, &rejection) {
		return
	}
	text := rejection.Error()
	if strings.ContainsAny(text, "\r\n\x00") || len(text) > 1000 {
		t.Errorf("%s: error %q, want one line of at most 1000 bytes", s.Name, text)
	}
	for _, part := range strings.Split(s.Raw, ".") {
		if len(part) > 40 && strings.Contains(text, part[:40]) {
			t.Errorf("%s: error %q contains a part of the token", s.Name, text)
		}
	}
}

// writeCorpus writes the corpus for other verifiers.
func writeCorpus(t *testing.T, path string) {
	t.Helper()
	keys := map[string][]byte{}
	for kid, published := range issuerKeys() {
		keys[kid] = must(x509.MarshalPKIXPublicKey(published[0]))
	}
	file := struct {
		Now       time.Time
		Verifier  *token.Verifier
		Keys      map[string][]byte // PKIX
		Specimens []specimen
	}{now, strictVerifier(), keys, corpus()}
	if err := os.WriteFile(path, must(json.Marshal(file)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tokenReasons returns the reasons for which Verify can reject a token. The others
// with the code invalid_token are given by package gatehouse.
func tokenReasons() (out []reason.Reason) {
	for _, info := range reason.All() {
		switch info.Reason {
		case reason.UnusableClaims, reason.Inactive, reason.Revoked:
		case reason.WrongClaim, reason.MachineToken: // of other rules; see TestKindOfToken
		default:
			if info.Code == reason.CodeInvalidToken {
				out = append(out, info.Reason)
			}
		}
	}
	return out
}
