package gatehouse

import (
	"encoding/binary"
	"time"
	"unsafe"
)

// packed is a verified token as the caches keep it: all of it in one string. An
// [Identity] is a dozen strings and slices, and thousands of those would cost the
// garbage collector more, in each of its runs, than their verification has cost.
type packed string

// pack writes v down. [packed.unpack] reads it in the same order.
func (v *verified) pack() packed {
	id := &v.identity
	texts := [...]string{v.principal, v.sessionID, id.ClientID, id.TokenID, id.Fingerprint,
		id.Organization.ID, id.Organization.Slug, id.Organization.Role, readOnlyString(id.payload)}
	lists := [...][]string{id.Audience, id.Scopes, id.Roles, id.Permissions, id.Organization.Permissions}
	b := make([]byte, 0, packedSize(texts[:], lists[:]))
	if v.bound {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	for _, t := range [...]time.Time{id.IssuedAt, id.Expiry, v.notBefore} {
		b = binary.AppendVarint(b, t.Unix())
		b = binary.AppendUvarint(b, uint64(t.Nanosecond()))
	}
	b = binary.AppendUvarint(b, uint64(len(id.Issuer)))
	for _, s := range texts {
		b = appendString(b, s)
	}
	items := 0
	for _, list := range lists {
		items += len(list)
	}
	b = binary.AppendUvarint(b, uint64(items))
	for _, list := range lists {
		b = appendList(b, list)
	}
	return packed(readOnlyString(b))
}

// packedSize is what pack writes, or a little more; only with very long texts is it less.
func packedSize(texts []string, lists [][]string) int {
	const flag, date, length = 1, 2 * binary.MaxVarintLen32, binary.MaxVarintLen16
	size := flag + 3*date + length*(2+len(texts)+len(lists))
	for _, s := range texts {
		size += len(s)
	}
	for _, list := range lists {
		for _, s := range list {
			size += length + len(s)
		}
	}
	return size
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendList keeps nil and an empty list apart.
func appendList(b []byte, list []string) []byte {
	if list == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(list))+1)
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

// unpack sets v to what was packed. Its strings are parts of p: nothing is copied,
// and what all lists lie in is the one thing allocated.
func (p packed) unpack(v *verified) {
	id := &v.identity
	v.bound = p[0] == 1
	p = p[1:]
	for _, t := range [...]*time.Time{&id.IssuedAt, &id.Expiry, &v.notBefore} {
		*t = p.time()
	}
	issuer := p.uvarint()
	v.principal = p.string()
	id.Issuer, id.Subject = v.principal[:issuer], v.principal[issuer+len(principalSeparator):]
	v.sessionID, id.ClientID, id.TokenID, id.Fingerprint = p.string(), p.string(), p.string(), p.string()
	id.Organization.ID, id.Organization.Slug, id.Organization.Role = p.string(), p.string(), p.string()
	id.payload = readOnlyBytes(p.string())
	items := make([]string, p.uvarint())
	for _, list := range [...]*[]string{&id.Audience, &id.Scopes, &id.Roles, &id.Permissions, &id.Organization.Permissions} {
		*list, items = p.list(items)
	}
}

func (p *packed) uvarint() int {
	n, size := binary.Uvarint(readOnlyBytes(string(*p)))
	*p = (*p)[size:]
	return int(n)
}

func (p *packed) time() time.Time {
	seconds, size := binary.Varint(readOnlyBytes(string(*p)))
	*p = (*p)[size:]
	nanoseconds := p.uvarint()
	if seconds == (time.Time{}).Unix() {
		return time.Time{}
	}
	return time.Unix(seconds, int64(nanoseconds))
}

func (p *packed) string() string {
	n := p.uvarint()
	s := string((*p)[:n])
	*p = (*p)[n:]
	return s
}

// list puts the next list at the start of items and returns it, and the rest of items.
func (p *packed) list(items []string) (list, rest []string) {
	n := p.uvarint()
	if n == 0 {
		return nil, items
	}
	n-- // nil is 0
	for i := range n {
		items[i] = p.string()
	}
	return items[:n:n], items[n:]
}

// readOnlyBytes returns the bytes of s without a copy. They must not be written to.
func readOnlyBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// readOnlyString is b as a string without a copy, for as long as nobody writes to b.
func readOnlyString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
