package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// privateMembers are the members of a private or symmetric key (RFC 7518
// sections 6.2.2, 6.3.2 and 6.4.1, RFC 8037 section 2).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// jwk is the members of one JSON Web Key. A null member counts as absent.
type jwk map[string]jsontext.Value

// parseKey reads one key of a set and returns it with its name: its kid, and the one
// algorithm that it is for.
func parseKey(raw jsontext.Value, algorithms []string) (name, crypto.PublicKey, error) {
	members, err := strictjson.Members(raw)
	if err != nil {
		return name{}, nil, err
	}
	k := jwk(members)
	for member, value := range k {
		if value.Kind() == 'n' {
			delete(k, member)
		}
	}
	kid, err := k.text("kid")
	switch {
	case err != nil:
		return name{}, nil, err
	case kid == "":
		return name{}, nil, errors.New(`it has no "kid"`)
	case len(kid) > jose.MaxKeyID:
		return name{}, nil, fmt.Errorf(`"kid" is %d bytes, want at most %d`, len(kid), jose.MaxKeyID)
	}
	alg, key, err := k.publicKey(algorithms)
	if err != nil {
		return name{}, nil, fmt.Errorf("kid %s: %w", quote.String(kid), err)
	}
	return name{kid, alg}, key, nil
}

// publicKey returns the key and the one algorithm that it is for.
func (k jwk) publicKey(algorithms []string) (alg string, key crypto.PublicKey, err error) {
	if err := k.checkUse(); err != nil {
		return "", nil, err
	}
	kty, err := k.text("kty")
	if err != nil {
		return "", nil, err
	}
	var curve elliptic.Curve
	switch jose.KeyType(kty) {
	case jose.RSA:
		key, err = k.rsaKey()
	case jose.EC:
		curve, key, err = k.ecKey()
	case jose.OKP:
		key, err = k.ed25519Key()
	default:
		err = fmt.Errorf("kty %s is not supported", quote.String(kty))
	}
	if err != nil {
		return "", nil, err
	}
	alg, err = k.algorithm(suitable(jose.KeyType(kty), curve), algorithms)
	return alg, key, err
}

// suitable returns the algorithms that a key of the type and the curve can use.
func suitable(kty jose.KeyType, curve elliptic.Curve) (names []string) {
	for _, name := range jose.CanonicalNames() {
		if alg, _ := jose.Lookup(name); alg.KeyType == kty && alg.Curve == curve {
			names = append(names, name)
		}
	}
	return names
}

// checkUse rejects a key that is not published for verifying (RFC 7517 sections 4.2
// and 4.3), or whose private part is published with it.
func (k jwk) checkUse() error {
	for _, member := range privateMembers {
		if _, ok := k[member]; ok {
			return fmt.Errorf("it has the private member %q, with which anyone who reads the set can sign", member)
		}
	}
	use, err := k.text("use")
	switch {
	case err != nil:
		return err
	case use == "enc":
		return errForEncryption
	case k.has("use") && use != "sig":
		return fmt.Errorf("use is %s, want \"sig\"", quote.String(use))
	case !k.has("key_ops"):
		return nil
	}
	var ops []string
	if err := strictjson.Unmarshal(k["key_ops"], &ops); err != nil {
		return errors.New(`"key_ops" is not an array of strings`)
	}
	if !slices.Contains(ops, "verify") {
		return fmt.Errorf(`key_ops is %s, want "verify" among them`, quote.List(ops))
	}
	return nil
}

// algorithm returns the one algorithm that the key is for: the one that it names, else
// the first of wanted that is suitable for its type.
func (k jwk) algorithm(suitable, wanted []string) (string, error) {
	alg, err := k.text("alg")
	if err != nil {
		return "", err
	}
	if !k.has("alg") {
		for _, alg := range wanted {
			if slices.Contains(suitable, alg) {
				return alg, nil
			}
		}
		return "", fmt.Errorf("it is for one of %q, want one of %q", suitable, wanted)
	}
	switch alg = jose.Canonical(alg); {
	case !slices.Contains(suitable, alg):
		return "", fmt.Errorf("alg %s does not fit its type", quote.String(alg))
	case !slices.Contains(wanted, alg):
		return "", fmt.Errorf("alg is %q, want one of %q", alg, wanted)
	}
	return alg, nil
}

// rsaKey reads an RSA key (RFC 7518 section 6.3.1). It accepts leading zeros of the
// modulus, which the RFC forbids: they are common and harmless.
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
	if err := jose.CheckRSABits(n.BitLen()); err != nil {
		return nil, fmt.Errorf("modulus has %w", err)
	}
	if n.Bit(0) == 0 {
		return nil, errors.New("modulus is even")
	}
	if e.Cmp(big.NewInt(jose.MinRSAExponent)) < 0 || e.Cmp(big.NewInt(jose.MaxRSAExponent)) > 0 || e.Bit(0) == 0 {
		return nil, fmt.Errorf("exponent has %d bits, want an odd number from %d to %d", e.BitLen(), jose.MinRSAExponent, jose.MaxRSAExponent)
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

// curves are the supported curves of an EC key, by "crv" (RFC 7518 section 6.2.1.1).
var curves = map[string]elliptic.Curve{
	"P-256": elliptic.P256(),
	"P-384": elliptic.P384(),
	"P-521": elliptic.P521(),
}

// ecKey reads an EC key (RFC 7518 section 6.2.1): coordinates of full length, and a
// point on the curve.
func (k jwk) ecKey() (elliptic.Curve, *ecdsa.PublicKey, error) {
	crv, err := k.text("crv")
	if err != nil {
		return nil, nil, err
	}
	curve, ok := curves[crv]
	if !ok {
		return nil, nil, fmt.Errorf("crv %s is not supported", quote.String(crv))
	}
	point := []byte{4} // uncompressed
	for _, member := range []string{"x", "y"} {
		coordinate, err := k.bytes(member)
		if err != nil {
			return nil, nil, err
		}
		if want := jose.CoordinateSize(curve); len(coordinate) != want {
			return nil, nil, fmt.Errorf("%q is %d bytes, want %d", member, len(coordinate), want)
		}
		point = append(point, coordinate...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, nil, fmt.Errorf("point is not on %s", crv)
	}
	return curve, key, nil
}

// ed25519Key reads an Ed25519 key (RFC 8037 section 2).
func (k jwk) ed25519Key() (ed25519.PublicKey, error) {
	crv, err := k.text("crv")
	if err != nil {
		return nil, err
	}
	if crv != "Ed25519" {
		return nil, fmt.Errorf("crv %s is not supported", quote.String(crv))
	}
	x, err := k.bytes("x")
	switch {
	case err != nil:
		return nil, err
	case len(x) != ed25519.PublicKeySize:
		return nil, fmt.Errorf("\"x\" is %d bytes, want %d", len(x), ed25519.PublicKeySize)
	case lowOrder(x):
		return nil, errors.New("point is of low order, so anyone can sign for it")
	}
	return x, nil
}

// lowOrderPoints are the y coordinates of the Ed25519 points whose order divides 8,
// in all their encodings, those beyond the field prime included. Zeroed memory is one
// of them.
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
	text, err := strictjson.Text(string(k[member]))
	if err != nil {
		return "", fmt.Errorf("%q: %w", member, err)
	}
	return text, nil
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
