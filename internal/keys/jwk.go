package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
)

const (
	minRSABits  = 2048 // RFC 7518 section 3.3
	maxRSABits  = 8192 // beyond, a signature costs too much to check
	maxExponent = math.MaxInt32
	maxShown    = 64 // bytes of an outside value in a message
)

// privateMembers are the members of a private or symmetric key (RFC 7518
// sections 6.2.2, 6.3.2 and 6.4.1, RFC 8037 section 2).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// jwk is the members of one JSON Web Key. A null member counts as absent.
type jwk map[string]json.RawMessage

// parseKey reads one key of a set and gives it its name: its kid, and the one
// algorithm it is for.
func parseKey(raw json.RawMessage, algorithms []string) (name, crypto.PublicKey, error) {
	var k jwk
	if err := json.Unmarshal(raw, &k); err != nil || k == nil {
		return name{}, nil, errors.New("not a JSON object")
	}
	for member, value := range k {
		if string(value) == "null" {
			delete(k, member)
		}
	}
	kid, err := k.text("kid")
	switch {
	case err != nil:
		return name{}, nil, err
	case kid == "":
		return name{}, nil, errors.New(`it has no "kid"`)
	case len(kid) > maxKeyID:
		return name{}, nil, fmt.Errorf(`"kid" is %d bytes, want at most %d`, len(kid), maxKeyID)
	}
	alg, key, err := k.publicKey(algorithms)
	if err != nil {
		return name{}, nil, fmt.Errorf("kid %q: %w", shown(kid), err)
	}
	return name{kid, alg}, key, nil
}

func (k jwk) publicKey(algorithms []string) (alg string, key crypto.PublicKey, err error) {
	if err := k.checkUse(); err != nil {
		return "", nil, err
	}
	kty, err := k.text("kty")
	if err != nil {
		return "", nil, err
	}
	var fits []string // algorithms this key can do
	switch kty {
	case "RSA":
		fits = rsaAlgorithms
		key, err = k.rsaKey()
	case "EC":
		fits, key, err = k.ecKey()
	case "OKP":
		fits = []string{eddsa}
		key, err = k.ed25519Key()
	default:
		err = fmt.Errorf("kty %q is not supported", shown(kty))
	}
	if err != nil {
		return "", nil, err
	}
	alg, err = k.algorithm(fits, algorithms)
	return alg, key, err
}

// checkUse refuses a key that is not published for verifying (RFC 7517
// sections 4.2 and 4.3), or whose secret is out.
func (k jwk) checkUse() error {
	for _, member := range privateMembers {
		if _, ok := k[member]; ok {
			return fmt.Errorf("it carries the private member %q; whoever reads the set can sign with it", member)
		}
	}
	use, err := k.text("use")
	switch {
	case err != nil:
		return err
	case k.has("use") && use != "sig":
		return fmt.Errorf("use is %q, want \"sig\"", shown(use))
	case !k.has("key_ops"):
		return nil
	}
	var ops []string
	if err := json.Unmarshal(k["key_ops"], &ops); err != nil {
		return errors.New(`"key_ops" is not an array of strings`)
	}
	if !slices.Contains(ops, "verify") {
		return errors.New(`key_ops is without "verify"`)
	}
	return nil
}

// algorithm returns the one algorithm the key is for: the one it names, else
// the first wanted one that fits its type.
func (k jwk) algorithm(fits, wanted []string) (string, error) {
	alg, err := k.text("alg")
	if err != nil {
		return "", err
	}
	if !k.has("alg") {
		for _, alg := range wanted {
			if slices.Contains(fits, alg) {
				return alg, nil
			}
		}
		return "", fmt.Errorf("it is for one of %q, want one of %q", fits, wanted)
	}
	switch alg = canonicalAlgorithm(alg); {
	case !slices.Contains(fits, alg):
		return "", fmt.Errorf("alg %q does not fit its type", shown(alg))
	case !slices.Contains(wanted, alg):
		return "", fmt.Errorf("alg is %q, want one of %q", alg, wanted)
	}
	return alg, nil
}

// rsaKey follows RFC 7518 section 6.3.1. Leading zeros of the modulus, which
// it forbids, are common and harmless.
func (k jwk) rsaKey() (*rsa.PublicKey, error) {
	modulus, err := k.bytes("n")
	if err != nil {
		return nil, err
	}
	exponent, err := k.bytes("e")
	if err != nil {
		return nil, err
	}
	n, e := new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent)
	switch bits := n.BitLen(); {
	case bits < minRSABits || bits > maxRSABits:
		return nil, fmt.Errorf("modulus has %d bits, want %d to %d", bits, minRSABits, maxRSABits)
	case n.Bit(0) == 0:
		return nil, errors.New("modulus is even")
	case e.Cmp(big.NewInt(3)) < 0 || e.Cmp(big.NewInt(maxExponent)) > 0 || e.Bit(0) == 0:
		return nil, fmt.Errorf("exponent has %d bits, want an odd number from 3 to %d", e.BitLen(), maxExponent)
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

// ecKey follows RFC 7518 section 6.2.1: coordinates of full length, and a
// point on the curve.
func (k jwk) ecKey() ([]string, *ecdsa.PublicKey, error) {
	crv, err := k.text("crv")
	if err != nil {
		return nil, nil, err
	}
	var curve elliptic.Curve
	var alg string
	switch crv {
	case "P-256":
		curve, alg = elliptic.P256(), es256
	case "P-384":
		curve, alg = elliptic.P384(), es384
	case "P-521":
		curve, alg = elliptic.P521(), es512
	default:
		return nil, nil, fmt.Errorf("crv %q is not supported", shown(crv))
	}
	point := []byte{4} // uncompressed
	for _, member := range []string{"x", "y"} {
		coordinate, err := k.bytes(member)
		if err != nil {
			return nil, nil, err
		}
		if want := (curve.Params().BitSize + 7) / 8; len(coordinate) != want {
			return nil, nil, fmt.Errorf("%q is %d bytes, want %d", member, len(coordinate), want)
		}
		point = append(point, coordinate...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, nil, fmt.Errorf("point is not on %s", crv)
	}
	return []string{alg}, key, nil
}

// ed25519Key follows RFC 8037 section 2.
func (k jwk) ed25519Key() (ed25519.PublicKey, error) {
	crv, err := k.text("crv")
	if err != nil {
		return nil, err
	}
	if crv != "Ed25519" {
		return nil, fmt.Errorf("crv %q is not supported", shown(crv))
	}
	x, err := k.bytes("x")
	switch {
	case err != nil:
		return nil, err
	case len(x) != ed25519.PublicKeySize:
		return nil, fmt.Errorf("\"x\" is %d bytes, want %d", len(x), ed25519.PublicKeySize)
	case lowOrder(x):
		return nil, errors.New("point is of low order; anybody can sign for it")
	}
	return x, nil
}

// lowOrderPoints are the y coordinates of the Ed25519 points whose order
// divides 8, and of their encodings beyond the field prime. Zeroed memory is
// one of them.
var lowOrderPoints = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

func lowOrder(x []byte) bool {
	y := slices.Clone(x)
	y[len(y)-1] &^= 0x80 // the sign of the other coordinate
	return slices.Contains(lowOrderPoints, hex.EncodeToString(y))
}

func (k jwk) has(member string) bool {
	_, ok := k[member]
	return ok
}

// text returns a string member, or "" if it is absent.
func (k jwk) text(member string) (string, error) {
	if !k.has(member) {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(k[member], &s); err != nil {
		return "", fmt.Errorf("%q is not a string", member)
	}
	return s, nil
}

// bytes returns a required member in base64url (RFC 7515 section 2).
func (k jwk) bytes(member string) ([]byte, error) {
	s, err := k.text(member)
	if err != nil {
		return nil, err
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("%q is not base64url", member)
	}
	return b, nil
}

// shown bounds an outside value for a message.
func shown(s string) string {
	if len(s) > maxShown {
		return s[:maxShown] + "…"
	}
	return s
}
