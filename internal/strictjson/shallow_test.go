package strictjson_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// deepLists returns n arrays in one another.
func deepLists(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// opaqueValues are values of a member that Members rejects and MembersShallow returns.
var opaqueValues = map[string]string{
	"same name twice":          `{"b":1,"b":2}`,
	"same name twice, deeper":  `[[{"b":1,"b":2}]]`,
	"half a pair":              `"\ud83d"`,
	"half a pair, deeper":      `["\ude00\ud83d"]`,
	"half a pair in a name":    `{"\ud83d":1}`,
	"half a pair, then quotes": `"\ud83d\""`,
	"number out of range":      `1e400`,
	"number of 400 digits":     strings.Repeat("9", 400),
	"more than MaxDepth":       deepLists(strictjson.MaxDepth),
	"MaxShallowDepth":          deepLists(strictjson.MaxShallowDepth - 1),
}

// malformedValues are no JSON, not UTF-8, or too deep.
var malformedValues = map[string]string{
	"nothing":                    ``,
	"not UTF-8":                  "\"\xff\"",
	"start of a longer sequence": "\"\xf0\"",
	"surrogate in UTF-8":         "\"\xed\xa0\x80\"",
	"escape cut short":           `"\ud83"`,
	"unknown escape":             `"\x41"`,
	"line break in a string":     "\"\n\"",
	"not a number":               `NaN`,
	"leading zero":               `01`,
	"no value":                   `{"b":}`,
	"name without quotes":        `{b:1}`,
	"comma at the end":           `[1,]`,
	"comment":                    `1/**/`,
	"no end":                     `[1`,
	"wrong end":                  `[1}`,
	"too deep":                   deepLists(strictjson.MaxShallowDepth),
	"far too deep":               deepLists(20000),
	"too deep after brackets":    `["]]]]\"]]",` + deepLists(strictjson.MaxShallowDepth-1) + `]`,
}

func TestMembersShallowPassesValuesOn(t *testing.T) {
	t.Parallel()
	for name, value := range opaqueValues {
		text := ` {"name" : "x", "\u0061rguments":` + value + ` } `
		if _, err := strictjson.Members([]byte(text)); err == nil {
			t.Errorf("%s: Members accepts it, so the row shows nothing", name)
		}
		got, err := strictjson.MembersShallow([]byte(text))
		if err != nil || len(got) != 2 || string(got["arguments"]) != value || string(got["name"]) != `"x"` {
			t.Errorf("%s: got %.64s, %v", name, got, err)
		}
		items, err := strictjson.ItemsShallow([]byte("\n[ " + value + " , null] "))
		if err != nil || len(items) != 2 || string(items[0]) != value || string(items[1]) != "null" {
			t.Errorf("%s in a list: got %.64s, %v", name, items, err)
		}
	}
}

func TestShallowRejectsMalformedValues(t *testing.T) {
	t.Parallel()
	for name, value := range malformedValues {
		if _, err := strictjson.MembersShallow([]byte(`{"a":` + value + `}`)); err == nil {
			t.Errorf("MembersShallow accepts %s", name)
		}
		if _, err := strictjson.ItemsShallow([]byte(`[1,` + value + `]`)); err == nil {
			t.Errorf("ItemsShallow accepts %s", name)
		}
	}
}

// The names of the object itself are read as strictly as Members reads them.
func TestMembersShallowReadsNamesStrictly(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"same name twice":              `{"a":1,"a":1}`,
		"same name twice, escaped":     `{"a":1,"\u0061":1}`,
		"same name twice, after null":  `{"a":null,"b":1,"a":1}`,
		"half a pair":                  `{"\udc00":1}`,
		"half a pair, first":           `{"\ud83d":1}`,
		"half a pair and its stand-in": `{"\ud83d":1,"�":1}`,
		"not UTF-8":                    "{\"\xff\":1}",
		"unknown escape":               `{"\x61":1}`,
		"two values":                   `{"a":1}{"a":1}`,
		"text after the object":        `{"a":1} x`,
		"NUL after the object":         "{\"a\":1}\x00",
		"byte order mark":              "\ufeff{}",
	} {
		if got, err := strictjson.MembersShallow([]byte(text)); err == nil {
			t.Errorf("%s: got %s, want an error", name, got)
		}
	}
	got, err := strictjson.MembersShallow([]byte(`{"a":1,"A":2,"\u0062":3,"\ud83d\ude00":4,"":5}`))
	if err != nil || len(got) != 5 || string(got["b"]) != "3" || string(got["😀"]) != "4" {
		t.Errorf("valid names: got %s, %v", got, err)
	}
}

func TestShallowWantsItsKind(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", " ", "null", "true", "1", `"x"`} {
		if _, err := strictjson.MembersShallow([]byte(text)); err == nil || !strings.Contains(err.Error(), "want an object") {
			t.Errorf("MembersShallow(%q): %v, want an error that asks for an object", text, err)
		}
		if _, err := strictjson.ItemsShallow([]byte(text)); err == nil || !strings.Contains(err.Error(), "want an array") {
			t.Errorf("ItemsShallow(%q): %v, want an error that asks for an array", text, err)
		}
	}
	if _, err := strictjson.MembersShallow([]byte(`[{}]`)); err == nil {
		t.Error("MembersShallow accepts an array")
	}
	if _, err := strictjson.ItemsShallow([]byte(`{}`)); err == nil {
		t.Error("ItemsShallow accepts an object")
	}
}

func TestMembersShallowBound(t *testing.T) {
	t.Parallel()
	object := func(n int) []byte {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"m%d":null`, i)
		}
		return []byte("{" + b.String()[1:] + "}")
	}
	if got, err := strictjson.MembersShallow(object(strictjson.MaxMembers)); err != nil || len(got) != strictjson.MaxMembers {
		t.Errorf("%d members, %v; want all of them", len(got), err)
	}
	if _, err := strictjson.MembersShallow(object(strictjson.MaxMembers + 1)); err == nil {
		t.Error("accepts an object with one member too many")
	}
}

// What Members accepts, MembersShallow reads alike. What MembersShallow accepts is JSON
// for encoding/json, with the same members.
func FuzzMembersShallow(f *testing.F) {
	for _, text := range rejected {
		f.Add([]byte(text))
	}
	for _, values := range []map[string]string{opaqueValues, malformedValues} {
		for _, value := range values {
			f.Add([]byte(`{"a":` + value + `,"b":null}`))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before := bytes.Clone(text)
		got, err := strictjson.MembersShallow(text)
		strict, strictErr := strictjson.Members(text)
		if !bytes.Equal(text, before) {
			t.Fatalf("%q was changed to %q", before, text)
		}
		if strictErr == nil && (err != nil || len(got) != len(strict)) {
			t.Fatalf("Members reads %q, MembersShallow returns %s, %v", text, got, err)
		}
		for name, value := range strict {
			if !bytes.Equal(got[name], value) {
				t.Fatalf("member %q of %q is %s, want %s", name, text, got[name], value)
			}
		}
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(text, &want); err != nil || len(want) != len(got) {
			t.Fatalf("%q: got %s, encoding/json reads %s, %v", text, got, want, err)
		}
		for name, value := range want {
			if !bytes.Equal(got[name], value) {
				t.Fatalf("member %q of %q is %s, encoding/json reads %s", name, text, got[name], value)
			}
		}
	})
}
